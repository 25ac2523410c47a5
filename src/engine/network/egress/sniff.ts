/**
 * Finds out for which host a connection is meant from the first bytes its client sends. Reads only; nothing of it is
 * answered or changed.
 */
import { normalizeHostName } from "./domains.ts";

/** `more`: too few bytes yet. `none`: no name is there, or it is not clear which. */
export type Sniffed = "more" | "none" | { readonly name: string };

const TLS_HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const EXTENSION_SERVER_NAME = 0;
const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_HEADER_BYTES = 4;
/** Larger than any hello or head of a request that servers accept. */
export const MAX_SNIFFED_BYTES = 64 * 1024;

/** Server name of a TLS ClientHello. RFC 8446 §4.1.2, RFC 6066 §3. */
export function sniffTls(bytes: Buffer): Sniffed {
	const message = handshakeIn(bytes);
	if (message === "none") return "none";
	const hello = completeHello(message);
	return typeof hello === "string" ? hello : serverName(hello);
}

/** What the records so far hold, which may be cut anywhere. */
function handshakeIn(bytes: Buffer): Buffer | "none" {
	const fragments: Buffer[] = [];
	for (let at = 0; at < bytes.length; ) {
		if (bytes[at] !== TLS_HANDSHAKE) return "none";
		const start = at + RECORD_HEADER_BYTES;
		if (bytes.length < start) break;
		at = start + bytes.readUInt16BE(at + 3);
		fragments.push(bytes.subarray(start, at));
	}
	return Buffer.concat(fragments);
}

/** The message without its header. */
function completeHello(message: Buffer): Buffer | "more" | "none" {
	if (message.length < HANDSHAKE_HEADER_BYTES) return "more";
	if (message[0] !== CLIENT_HELLO) return "none";
	const end = HANDSHAKE_HEADER_BYTES + message.readUIntBE(1, 3);
	if (end > MAX_SNIFFED_BYTES) return "none";
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

/** Host of an HTTP/1 request: from its target when that is a URL, else from its one Host field. RFC 9112 §3.2. */
export function sniffHttp(bytes: Buffer): Sniffed {
	const text = bytes.toString("latin1");
	const start = text.slice(0, 33);
	if (start.includes(" ") ? !METHOD.test(start) : start.length === 33) return "none";
	const end = text.indexOf("\r\n\r\n");
	if (end < 0) return "more";
	const [requestLine = "", ...fields] = text.slice(0, end).split("\r\n");
	const [, target = "", version = ""] = requestLine.split(" ");
	const hosts = fields.filter((field) => /^host[ \t]*:/i.test(field));
	// A folded line might be a second value for some servers.
	if (!version.startsWith("HTTP/1.") || hosts.length !== 1 || fields.some((field) => /^[ \t]/.test(field))) return "none";
	const authority = hosts[0]?.slice(5).trim() ?? "";
	if (target.startsWith("/") || target === "*") return named(authority);
	const inTarget = /^https?:\/\/([^/?#]+)/i.exec(target)?.[1];
	return inTarget !== undefined && inTarget.toLowerCase() === authority.toLowerCase() ? named(authority) : "none";
}

function named(authority: string): Sniffed {
	const name = normalizeHostName(authority.replace(/:\d{1,5}$/, ""));
	return name === undefined ? "none" : { name };
}
