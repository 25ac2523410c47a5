/**
 * A small internet for tests with a real server: a network namespace behind a veth of this host, with addresses set
 * apart for documentation (RFC 5737), and a name server for it. The server under test runs in a mount namespace in which
 * that name server is the host's resolver. Nothing leaves the machine.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CA_BUNDLE } from "../../src/protocol/index.ts";

const execute = promisify(execFile);
const LAB = join(import.meta.dirname, "../network/lab");

/** Where web servers answer, two of them; the last is the one that the SOCKS proxy on both connects from. */
export const SITE = "203.0.113.10";
export const OTHER_SITE = "203.0.113.11";
const ROUTER = "203.0.113.1";
const RESOLVER = "203.0.113.53";

/** A name that means an address. */
export function nameOf(address: string, domain = "example.com"): string {
	return `${address.replaceAll(".", "-")}.${domain}`;
}

export class Internet implements AsyncDisposable {
	/** Runs a program where the internet's name server is the host's resolver. */
	readonly enter: readonly string[];
	/** PEM of the certificate of the web servers, for example.com and its subdomains. */
	readonly certificate: string;
	readonly #close: () => Promise<void>;

	private constructor(enter: readonly string[], certificate: string, close: () => Promise<void>) {
		this.enter = enter;
		this.certificate = certificate;
		this.#close = close;
	}

	static async open(): Promise<Internet> {
		const directory = await mkdtemp(join(tmpdir(), "offshoot-internet-"));
		const id = randomBytes(3).toString("hex");
		const netns = `offtest-${id}`;
		const children: ChildProcess[] = [];
		const close = async () => {
			for (const child of children) await end(child);
			await execute("ip", ["netns", "del", netns]);
			await rm(directory, { recursive: true });
		};
		await writeFile(join(directory, "resolv.conf"), `nameserver ${RESOLVER}\n`);
		await execute("sh", ["-ec", networkScript(netns, `ot${id}`)]);
		const [key, cert] = [join(directory, "web.key"), join(directory, "web.crt")];
		await execute("sh", ["-ec", certificateScript(key, cert)]);

		const inside = (file: string, ...args: string[]) => {
			const child = spawn("ip", ["netns", "exec", netns, process.execPath, join(LAB, file), ...args], {
				stdio: ["ignore", "inherit", "inherit", "ipc"],
			});
			children.push(child);
			return once(child, "message");
		};
		await Promise.all([inside("web.ts", JSON.stringify({ key, cert, from: OTHER_SITE })), inside("server.ts", "8080", "dns")]);
		// The host of this internet trusts its web servers, and so do the guests that it gives its trust to.
		await execute("sh", ["-ec", `cat ${CA_BUNDLE} ${cert} > ${directory}/trust.crt`]);
		const mounts = `mount --bind ${directory}/resolv.conf /etc/resolv.conf; mount --bind ${directory}/trust.crt ${CA_BUNDLE}`;
		const script = `${mounts}; echo ready; exec sleep infinity`;
		const holder = spawn("unshare", ["--mount", "--propagation", "slave", "sh", "-ec", script], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		children.push(holder);
		await once(holder.stdout ?? holder, "data");
		return new Internet(["nsenter", "--target", `${holder.pid}`, "--mount"], await readFile(cert, "utf8"), close);
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.#close();
	}
}

function networkScript(netns: string, link: string): string {
	return [
		`ip netns add ${netns}`,
		`ip link add ${link} type veth peer name eth0 netns ${netns}`,
		`ip addr add ${ROUTER}/24 dev ${link}`,
		`ip link set ${link} up`,
		`ip -n ${netns} link set lo up`,
		`ip -n ${netns} link set eth0 up`,
		// The first is the source of what is sent without choosing one, as by the name server.
		...[RESOLVER, SITE, OTHER_SITE].map((address) => `ip -n ${netns} addr add ${address}/24 dev eth0`),
	].join("\n");
}

function certificateScript(key: string, cert: string): string {
	const names = "subjectAltName=DNS:example.com,DNS:*.example.com,DNS:*.example.org";
	return `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=example.com -addext ${names} -keyout ${key} -out ${cert}`;
}

async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	child.kill("SIGKILL");
	await once(child, "exit");
}
