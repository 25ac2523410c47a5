/** Tries all targets of the argument (JSON) at once and sends what came of each: a text, "refused" or "timeout". */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import type { Target } from "./lab.ts";

const TIMEOUT_MS = 1500;
/** Long enough for a resolver that needs to ask twice. */
const DNS_TIMEOUT_MS = 4000;

const DNS_QUERY = Buffer.from("beef01000001000000000000076578616d706c6503636f6d0000010001", "hex");

function tcp({ host, port = 8080, source }: Target): Promise<string> {
	return new Promise((resolve) => {
		const socket = connect({ host, port, ...(source === undefined ? {} : { localAddress: source }) });
		socket.setTimeout(TIMEOUT_MS, () => finish("timeout"));
		socket.on("data", (data) => finish(data.toString().trim()));
		socket.on("error", (error) => finish("code" in error && error.code === "ECONNREFUSED" ? "refused" : error.message));
		function finish(result: string) {
			socket.destroy();
			resolve(result);
		}
	});
}

function datagram(
	{ host, port = 8080, source }: Target,
	message: string | Buffer,
	timeoutMs: number,
): Promise<Buffer | undefined> {
	return new Promise((resolve) => {
		const socket = createSocket("udp4");
		const timer = setTimeout(() => finish(undefined), timeoutMs);
		socket.on("message", (answer) => finish(answer));
		socket.on("error", () => {});
		socket.bind(0, source, () => socket.send(message, port, host));
		function finish(answer: Buffer | undefined) {
			clearTimeout(timer);
			socket.close();
			resolve(answer);
		}
	});
}

function dnsOverTcp({ host, port = 53 }: Target): Promise<string> {
	return new Promise((resolve) => {
		const socket = connect(port, host);
		socket.setTimeout(TIMEOUT_MS, () => finish("timeout"));
		socket.on("connect", () => socket.write(Buffer.concat([Buffer.from([0, DNS_QUERY.length]), DNS_QUERY])));
		socket.on("data", (data: Buffer) => finish([...data.subarray(-4)].join(".")));
		socket.on("error", () => finish("refused"));
		function finish(result: string) {
			socket.destroy();
			resolve(result);
		}
	});
}

/** Sends one datagram to each of many ports, from one socket, or many queries to one; tells how many answers came. */
function flood({ host, count = 0 }: Target, portOf: (n: number) => number, message: Buffer): Promise<string> {
	return new Promise((resolve) => {
		const socket = createSocket("udp4");
		let answers = 0;
		socket.on("message", () => answers++);
		socket.on("error", () => {});
		for (let n = 0; n < count; n++) socket.send(message, portOf(n), host);
		setTimeout(() => {
			socket.close();
			resolve(String(answers));
		}, TIMEOUT_MS);
	});
}

async function attempt(target: Target): Promise<string> {
	switch (target.protocol) {
		case "udp":
			return (await datagram(target, "hello", TIMEOUT_MS))?.toString().trim() ?? "timeout";
		case "dns-udp": {
			const answer = await datagram({ port: 53, ...target }, DNS_QUERY, DNS_TIMEOUT_MS);
			return answer === undefined ? "timeout" : [...answer.subarray(-4)].join(".");
		}
		case "dns-tcp":
			return dnsOverTcp(target);
		case "dns-flood":
			return flood(target, () => 53, DNS_QUERY);
		case "udp-scan":
			return flood(target, (n) => 10_000 + n, Buffer.from("x"));
		default:
			return tcp(target);
	}
}

const targets: Target[] = JSON.parse(process.argv[2] ?? "[]");
process.send?.(await Promise.all(targets.map(attempt)), () => process.exit(0));
