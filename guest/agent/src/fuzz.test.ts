/**
 * Malformed requests must not end the daemon, and are answered with 4xx, a protocol error, or a closed connection.
 * The number of requests is OFFSHOOT_FUZZ (300); the seed of a failing run is printed and can be set with OFFSHOOT_TEST_SEED.
 */
import { randomInt } from "node:crypto";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestAgent } from "../testing/agent.ts";

const REQUESTS = Number(process.env.OFFSHOOT_FUZZ ?? 300);
const SEED = Number(process.env.OFFSHOOT_TEST_SEED ?? randomInt(2 ** 31));

let agent: TestAgent;

beforeAll(async () => {
	agent = await TestAgent.start();
	await agent.initialise();
}, 60_000);

afterAll(async () => {
	await agent[Symbol.asyncDispose]();
});

/** mulberry32: small, and the same on every machine for one seed. */
function generator(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

const PATHS = [
	"/process.Process/Start",
	"/process.Process/Connect",
	"/process.Process/StreamInput",
	"/process.Process/SendInput",
	"/process.Process/SendSignal",
	"/process.Process/Update",
	"/process.Process/List",
	"/filesystem.Filesystem/Stat",
	"/filesystem.Filesystem/ListDir",
	"/filesystem.Filesystem/WatchDir",
	"/filesystem.Filesystem/GetWatcherEvents",
	"/files?path=/nonexistent/x/../y",
	"/files?path=%00",
	"/files?path=%ff%fe&signature=x&signature_expiration=y",
	"/files/compose",
	"/health",
	"/envs?%",
	"//",
	"*",
	"/../../etc/passwd",
];

const TYPES = [
	"application/json",
	"application/connect+json",
	"application/proto",
	"application/connect+proto",
	"application/grpc",
	"multipart/form-data; boundary=b",
	"multipart/form-data; boundary=",
	"application/octet-stream",
	"text/plain",
	"",
];

const BODIES = [
	"",
	"{}",
	"[",
	"null",
	'"x"',
	'{"path":"/tmp/../proc/self/none"}',
	'{"path":"\\u0000"}',
	'{"path":7,"depth":-1}',
	'{"path":"/proc/self","depth":4294967296}',
	'{"process":{"cmd":"/none","args":[null]}}',
	'{"process":{"cmd":"/none","envs":{"A":1}}}',
	'{"process":{"cmd":"a\\u0000b"}}',
	'{"process":{"cmd":"/none","cwd":"~x"},"pty":{"size":{"cols":-1}}}',
	'{"process":{"pid":-1},"input":{"stdin":"???"}}',
	'{"process":{"pid":1,"tag":"x"}}',
	'{"process":{"tag":"none"},"signal":"SIGNAL_NOPE"}',
	'{"source_paths":["/none"],"destination":"/none/x"}',
	'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\nx\r\n--b--\r\n',
	'--b\r\nContent-Disposition: form-data; name="file"; filename="a\\0b"\r\n\r\nx',
	"\u0000\u0000\u0000\u0000\u0002{}",
	"\u0000\u007f\u007f\u007f\u007f{}",
	"\u0001\u0000\u0000\u0000\u0002{}",
	"\u0002\u0000\u0000\u0000\u0002{}",
];

const HEADERS = [
	"Content-Encoding: gzip",
	"Content-Encoding: br",
	"Connect-Content-Encoding: gzip",
	"Connect-Timeout-Ms: -5",
	"Connect-Timeout-Ms: 1",
	"Connect-Protocol-Version: 9",
	"Keepalive-Ping-Interval: 1e99",
	"Authorization: Basic !!!!",
	"Authorization: Basic AA==",
	"Accept-Encoding: ;q=,,gzip;q=x",
	"Range: bytes=9-1,x",
	"If-None-Match: ,",
	"X-Metadata-: v",
	`X-Long: ${"x".repeat(20_000)}`,
	"Transfer-Encoding: chunked",
	"Expect: 100-continue",
	"Upgrade: h2c",
];

function requestOf(random: () => number): Buffer {
	const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
	const mutate = (text: string): string => {
		if (random() > 0.2 || text === "") return text;
		const at = Math.floor(random() * text.length);
		return text.slice(0, at) + String.fromCharCode(Math.floor(random() * 256)) + text.slice(at + 1);
	};
	const body = Buffer.from(mutate(pick(BODIES)), "latin1");
	const promised = body.length + (random() < 0.2 ? Math.floor(random() * 50) : 0);
	const lines = [`${pick(["POST", "POST", "POST", "GET", "PUT", "BREW"])} ${mutate(pick(PATHS))} HTTP/1.1`];
	if (random() < 0.95) lines.push("Host: x");
	lines.push(`Content-Type: ${pick(TYPES)}`, `Content-Length: ${promised}`, "Connection: close");
	while (random() < 0.4) lines.push(pick(HEADERS));
	return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body]);
}

/** The status of the answer, or undefined when the connection was closed without one. */
function send(request: Buffer): Promise<number | undefined> {
	return new Promise((resolve) => {
		let answer = "";
		const socket = connect(agent.port, "127.0.0.1", () => socket.end(request));
		// Streams that are well-formed by chance stay open: their first bytes are answer enough.
		socket.setTimeout(300, () => socket.destroy());
		socket.on("data", (chunk) => {
			answer += chunk.toString("latin1");
			if (answer.length > 100) socket.destroy();
		});
		socket.on("error", () => undefined);
		socket.on("close", () => {
			const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1];
			resolve(status === undefined ? undefined : Number(status));
		});
	});
}

test(`malformed requests are refused and the daemon stays (seed ${SEED})`, { timeout: 600_000 }, async () => {
	const random = generator(SEED);
	const pid = agent.daemonPid;
	const unexpected: string[] = [];
	for (let count = 0; count < REQUESTS; count += 10) {
		const requests = Array.from({ length: 10 }, () => requestOf(random));
		const statuses = await Promise.all(requests.map(send));
		statuses.forEach((status, index) => {
			const text = requests[index]?.toString("latin1") ?? "";
			// Connect tells of binary messages that it cannot read as internal errors.
			const binary = status === 500 && text.includes("application/proto");
			if (status !== undefined && status >= 500 && status !== 501 && !binary) {
				unexpected.push(`${status}: ${text.slice(0, 400)}`);
			}
		});
	}
	expect(unexpected).toEqual([]);
	expect(agent.daemonPid).toBe(pid);
	expect((await fetch(`${agent.url}/health`)).status).toBe(204);
	process.kill(pid, 0);
});
