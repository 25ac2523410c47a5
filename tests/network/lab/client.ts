/** Tries all targets of the argument (JSON) at once and sends what came of each: a text, "refused" or "timeout". */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import type { Target } from "./lab.ts";

const TIMEOUT_MS = 1500;

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

function datagram({ host, port = 8080, source }: Target, message: string | Buffer): Promise<Buffer | undefined> {
	return new Promise((resolve) => {
		const socket = createSocket("udp4");
		const timer = setTimeout(() => finish(undefined), TIMEOUT_MS);
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

async function attempt(target: Target): Promise<string> {
	switch (target.protocol) {
		case "udp":
			return (await datagram(target, "hello"))?.toString().trim() ?? "timeout";
		case "dns-udp": {
			const answer = await datagram({ port: 53, ...target }, DNS_QUERY);
			return answer === undefined ? "timeout" : [...answer.subarray(-4)].join(".");
		}
		case "dns-tcp":
			return dnsOverTcp(target);
		default:
			return tcp(target);
	}
}

const targets: Target[] = JSON.parse(process.argv[2] ?? "[]");
process.send?.(await Promise.all(targets.map(attempt)), () => process.exit(0));
