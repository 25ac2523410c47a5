/**
 * Finds out for which host a connection is meant from the first bytes its client sends. Reads only; nothing of it is
 * answered or changed. Everyone's connections are read by one process: whatever a client sends, and in whatever pieces,
 * the work is bounded by the bytes that came, each looked at a few times, and there is an end to what is waited for.
 */
import { normalizeHostName } from "./domains.ts";

/** `none`: no name is there, or it is not clear which. */
export type Sniffed = "none" | { readonly name: string };

/** Yields how many bytes of the connection it takes to go on, and is given all there are when these have come. */
export type Sniffing = Generator<number, Sniffed, Buffer>;

const TLS_HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const EXTENSION_SERVER_NAME = 0;
const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_HEADER_BYTES = 4;
/** Clients send one or two. */
const MAX_RECORDS = 16;
/** A hello as large as a record may be; those of clients have up to about 2 KB. */
const MAX_HELLO_BYTES = 16 * 1024 + MAX_RECORDS * RECORD_HEADER_BYTES;
/** Larger than any head of a request that servers accept. */
const MAX_HEAD_BYTES = 64 * 1024;

/** Server name of a TLS ClientHello. RFC 8446 §4.1.2, RFC 6066 §3. */
export function* sniffTls(): Sniffing {
	const fragments: Buffer[] = [];
	for (let at = 0; fragments.length < MAX_RECORDS; ) {
		const type = (yield at + 1)[at];
		if (type !== TLS_HANDSHAKE) return "none";
		const start = at + RECORD_HEADER_BYTES;
		const length = (yield start).readUInt16BE(at + 3);
		at = start + length;
		// Empty ones are forbidden (RFC 8446 §5.1), and would be work without end.
		if (length === 0 || at > MAX_HELLO_BYTES) return "none";
		fragments.push((yield at).subarray(start, at));
		const hello = completeHello(Buffer.concat(fragments));
		if (hello !== "more") return hello === "none" ? hello : serverName(hello);
	}
	return "none";
}

/** The message without its header. */
function completeHello(message: Buffer): Buffer | "more" | "none" {
	if (message.length < HANDSHAKE_HEADER_BYTES) return "more";
	if (message[0] !== CLIENT_HELLO) return "none";
	const end = HANDSHAKE_HEADER_BYTES + message.readUIntBE(1, 3);
	return message.length < end ? "more" : message.subarray(HANDSHAKE_HEADER_BYTES, end);
}

function serverName(hello: Buffer): Sniffed {
	try {
		const fields = new Fields(hello);
		fields.skip(2 + 32);
		fields.skip(fields.number(1));
		fields.skip(fields.number(2));
		fields.skip(fields.number(1));
		const extensions = new Fields(fields.bytes(fields.number(2)));
		while (!extensions.done) {
			const type = extensions.number(2);
			const value = extensions.bytes(extensions.number(2));
			if (type === EXTENSION_SERVER_NAME) return nameIn(new Fields(value));
		}
		return "none";
	} catch (error) {
		if (error instanceof RangeError) return "none";
		throw error;
	}
}

/** Exactly one name of type host_name: of two, a server might heed the one that was not checked. */
function nameIn(list: Fields): Sniffed {
	const entries = new Fields(list.bytes(list.number(2)));
	const type = entries.number(1);
	const name = normalizeHostName(entries.bytes(entries.number(2)).toString("latin1"));
	return type === 0 && name !== undefined && entries.done && list.done ? { name } : "none";
}

/** Reads one field after the other. @throws RangeError at the end of the bytes */
class Fields {
	readonly #bytes: Buffer;
	#at = 0;

	constructor(bytes: Buffer) {
		this.#bytes = bytes;
	}

	get done(): boolean {
		return this.#at === this.#bytes.length;
	}

	skip(count: number): void {
		this.bytes(count);
	}

	bytes(count: number): Buffer {
		const end = this.#at + count;
		if (end > this.#bytes.length) throw new RangeError("the message ends early");
		const bytes = this.#bytes.subarray(this.#at, end);
		this.#at = end;
		return bytes;
	}

	number(size: number): number {
		return this.bytes(size).readUIntBE(0, size);
	}
}

const METHOD = /^[A-Z!#$%&'*+.^_`|~-]{1,32} /;
const LONGEST_METHOD_BYTES = 33;
const HEAD_END = "\r\n\r\n";
const HOST_FIELD = /\r\nhost:/i;
/** A folded line might be a second value for some servers, and a name with a space before its colon another field. */
const AMBIGUOUS_FIELD = /\r\n(?:[ \t]|host[ \t]+:)/i;

/** Host of an HTTP/1 request: from its target when that is a URL, else from its one Host field. RFC 9112 §3.2. */
export function* sniffHttp(): Sniffing {
	let bytes = yield 1;
	let searched = 0;
	for (;;) {
		if (searched < LONGEST_METHOD_BYTES && !mayBeRequest(bytes)) return "none";
		const end = bytes.indexOf(HEAD_END, searched, "latin1");
		if (end >= 0) return hostIn(bytes.toString("latin1", 0, end));
		if (bytes.length >= MAX_HEAD_BYTES) return "none";
		// An end that was cut begins in the last three of them.
		searched = Math.max(0, bytes.length - HEAD_END.length + 1);
		bytes = yield bytes.length + 1;
	}
}

function mayBeRequest(bytes: Buffer): boolean {
	const start = bytes.toString("latin1", 0, LONGEST_METHOD_BYTES);
	return start.includes(" ") ? METHOD.test(start) : start.length < LONGEST_METHOD_BYTES;
}

/** Takes no list of the fields: a head may be thousands of them. */
function hostIn(head: string): Sniffed {
	const [requestLine = ""] = head.split("\r\n", 1);
	const [, target = "", version = ""] = requestLine.split(" ", 3);
	const [, fromHost, another] = head.split(HOST_FIELD, 3);
	if (fromHost === undefined || another !== undefined) return "none";
	if (!version.startsWith("HTTP/1.") || AMBIGUOUS_FIELD.test(head)) return "none";
	const [value = ""] = fromHost.split("\r\n", 1);
	const authority = value.trim();
	if (target.startsWith("/") || target === "*") return named(authority);
	const inTarget = /^https?:\/\/([^/?#]+)/i.exec(target)?.[1];
	return inTarget !== undefined && inTarget.toLowerCase() === authority.toLowerCase() ? named(authority) : "none";
}

function named(authority: string): Sniffed {
	const name = normalizeHostName(authority.replace(/:\d{1,5}$/, ""));
	return name === undefined ? "none" : { name };
}
