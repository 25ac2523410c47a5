/** Names for programs under test: a DNS server that leads a whole domain to this machine, for one process only. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface WildcardDns extends AsyncDisposable {
	/** Command line that runs a program with these names: in a mount namespace whose resolver asks this server. */
	command(program: string, ...args: string[]): [file: string, args: string[]];
}

const HEADER_BYTES = 12;
const RESPONSE_FLAGS = 0x8580;
const TYPE_A = 1;

export async function serveWildcard(domain: string): Promise<WildcardDns> {
	const server = createSocket("udp4");
	server.on("message", (query, from) => server.send(answer(query, domain), from.port, from.address));
	const address = await bindOwnAddress(server);
	const dir = await mkdtemp(join(tmpdir(), "offshoot-dns-"));
	const resolvConf = join(dir, "resolv.conf");
	await writeFile(resolvConf, `nameserver ${address}\n`);
	return {
		command: (program, ...args) => [
			"unshare",
			["--mount", "sh", "-c", `mount --bind ${resolvConf} /etc/resolv.conf && exec "$@"`, "sh", program, ...args],
		],
		async [Symbol.asyncDispose]() {
			server.close();
			await rm(dir, { recursive: true });
		},
	};
}

/** The resolver asks port 53 only, so what tells servers of several tests apart is the address. */
async function bindOwnAddress(server: Socket): Promise<string> {
	const part = () => 1 + Math.floor(Math.random() * 250);
	const address = `127.${part()}.${part()}.${part()}`;
	server.bind(53, address);
	await once(server, "listening");
	return address;
}

/** 127.0.0.1 for every name of the domain; nothing for other names and other types. */
function answer(query: Buffer, domain: string): Buffer {
	const end = query.indexOf(0, HEADER_BYTES) + 1;
	const question = query.subarray(HEADER_BYTES, end + 4);
	const name = labels(query.subarray(HEADER_BYTES, end)).join(".").toLowerCase();
	const found = query.readUInt16BE(end) === TYPE_A && (name === domain || name.endsWith(`.${domain}`));
	const header = Buffer.alloc(HEADER_BYTES);
	query.copy(header, 0, 0, 2);
	header.writeUInt16BE(RESPONSE_FLAGS, 2);
	header.writeUInt16BE(1, 4);
	header.writeUInt16BE(found ? 1 : 0, 6);
	// A pointer to the question's name, type A, class IN, 60 s, four bytes.
	const record = Buffer.from([0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
	return Buffer.concat([header, question, ...(found ? [record] : [])]);
}

function labels(name: Buffer): string[] {
	const found: string[] = [];
	for (let at = 0, length = name[0] ?? 0; length > 0; length = name[at] ?? 0) {
		found.push(name.toString("latin1", at + 1, at + 1 + length));
		at += 1 + length;
	}
	return found;
}
