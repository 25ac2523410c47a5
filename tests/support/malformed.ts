/**
 * For campaigns of malformed requests: bytes as no HTTP library would send them, sent in the ways that broken and
 * hostile clients send them. All chance comes from the campaign's generator, so that its seed repeats it.
 */
import { connect } from "node:net";
import { pick } from "./random.ts";

type Random = () => number;

/**
 * How the bytes are sent: at once with our half closed behind them, at once with it open, in two pieces, only the first
 * part before our half is closed, or only a part before the connection is reset.
 */
const MANNERS = ["whole", "whole", "whole", "open", "pieces", "cut", "reset"] as const;

export interface Attempt {
	readonly bytes: Buffer;
	readonly manner: (typeof MANNERS)[number];
	/** Where pieces and cuts are, from 0 to 1. */
	readonly at: number;
}

export interface Outcome {
	/** Undefined when the connection ended without an answer. */
	readonly status: number | undefined;
	/** The answer as it came, headers and all; no more than the first part of a long one. */
	readonly text: string;
}

export interface RequestParts {
	readonly method: string;
	readonly path: string;
	readonly headers: readonly string[];
	readonly body: Buffer;
	/** What Content-Length says more than there is; undefined leaves the header out. */
	readonly promisedMore: number | undefined;
}

/** The request's bytes, latin1 for what is no ASCII. */
export function requestBytes({ method, path, headers, body, promisedMore }: RequestParts): Buffer {
	const lines = [`${method} ${path} HTTP/1.1`, ...headers];
	if (promisedMore !== undefined) lines.push(`Content-Length: ${body.length + promisedMore}`);
	return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body]);
}

/** For `promisedMore`: most requests tell their length, some of them too much. */
export function promisedMore(random: Random): number | undefined {
	const chance = random();
	if (chance < 0.05) return undefined;
	return chance < 0.2 ? Math.floor(random() * 50) : 0;
}

/** Header lines that are wrong, or ask for what the request does not keep, whatever server they are sent to. */
export const HTTP_HEADERS: readonly string[] = [
	"Transfer-Encoding: chunked",
	"Transfer-Encoding: xchunked",
	"Content-Length: 0",
	"Content-Length: -1",
	"Expect: 100-continue",
	"Expect: everything",
	"Upgrade: h2c",
	"Connection: Upgrade\r\nUpgrade: websocket",
	`${"X-Many: y\r\n".repeat(1500)}X-Last: y`,
	"Bad Header: x",
	": nameless",
];

/** What is no request of HTTP/1.1, or far too long for one. */
export const NOT_HTTP: readonly Buffer[] = [
	Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0"),
	Buffer.from("\u0016\u0003\u0001\u0000\u00f4\u0001\u0000\u0000\u00f0\u0003\u0003", "latin1"),
	Buffer.from("GET /health\r\n\r\n"),
	Buffer.from("GET /health HTTP/9.9\r\nHost: x\r\n\r\n"),
	Buffer.from("\r\n".repeat(2000)),
	Buffer.from("GET ".repeat(20_000)),
];

export function attempt(random: Random, bytes: Buffer): Attempt {
	return { bytes, manner: pick(random, MANNERS), at: random() };
}

/** One envelope of a Connect stream. @param length what it claims to hold */
export function envelope(flags: number, payload: string | Buffer, length: number = Buffer.byteLength(payload)): Buffer {
	const head = Buffer.alloc(5);
	head.writeUInt8(flags, 0);
	head.writeUInt32BE(length, 1);
	return Buffer.concat([head, Buffer.from(payload)]);
}

/** The bytes with a byte changed, a piece removed, doubled or put in, or the end cut off. */
export function damaged(random: Random, bytes: Buffer): Buffer {
	const at = Math.floor(random() * bytes.length);
	const length = 1 + Math.floor(random() * 16);
	const noise = Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
	const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
	return pick(random, [
		() => Buffer.concat([before, noise.subarray(0, 1), after.subarray(1)]),
		() => Buffer.concat([before, after.subarray(length)]),
		() => Buffer.concat([before, after.subarray(0, length), after]),
		() => Buffer.concat([before, noise, after]),
		() => before,
	])();
}

/** Streams that are well-formed by chance stay open: what came until then is answer enough. ms */
const PATIENCE_MS = 300;
const ENOUGH_BYTES = 64 * 1024;

/** Answers before the answer. */
const INTERIM = /^(HTTP\/1\.1 1\d\d .*\r\n(.+\r\n)*\r\n)+/;

/** Sends to a port of this machine; resolves when the connection is closed. */
export function send({ bytes, manner, at }: Attempt, port: number): Promise<Outcome> {
	return new Promise((resolve) => {
		let text = "";
		const [first, rest] = [bytes.subarray(0, Math.ceil(bytes.length * at)), bytes.subarray(Math.ceil(bytes.length * at))];
		const socket = connect(port, "127.0.0.1", () => {
			if (manner === "whole") socket.end(bytes);
			else if (manner === "open") socket.write(bytes);
			else if (manner === "cut") socket.end(first);
			else if (manner === "reset") socket.write(first, () => socket.resetAndDestroy());
			else socket.write(first, () => setTimeout(() => socket.end(rest), 5));
		});
		socket.setTimeout(PATIENCE_MS, () => socket.destroy());
		socket.on("data", (chunk) => {
			text += chunk.toString("latin1");
			if (text.length > ENOUGH_BYTES) socket.destroy();
		});
		socket.on("error", () => undefined);
		socket.on("close", () => {
			const status = /^HTTP\/1\.[01] (\d{3})/.exec(text.replace(INTERIM, ""))?.[1];
			resolve({ status: status === undefined ? undefined : Number(status), text });
		});
	});
}

/** As a failing campaign shows it. */
export function show({ bytes, manner }: Attempt, { text }: Outcome): string {
	return `${manner}: ${JSON.stringify(bytes.toString("latin1").slice(0, 600))} -> ${JSON.stringify(text.slice(0, 600))}`;
}

/** How many answers had which status; "closed" for none. */
export class Tally {
	readonly #counts = new Map<string, number>();

	add({ status }: Outcome): void {
		const key = String(status ?? "closed");
		this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
	}

	toString(): string {
		const sorted = [...this.#counts].sort(([a], [b]) => a.localeCompare(b));
		return sorted.map(([status, count]) => `${status}: ${count}`).join(", ");
	}
}
