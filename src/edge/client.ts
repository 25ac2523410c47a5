/**
 * The client's half of an exchange, whether it came by HTTP/1.1 or HTTP/2: what Node's classes for both have in common,
 * and the few answers that differ.
 */
import { type IncomingHttpHeaders, type IncomingMessage, ServerResponse } from "node:http";
import { constants, Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { dropSocket } from "./drop.ts";
import { withoutFields } from "./fields.ts";

export interface ClientRequest extends Readable {
	readonly method?: string | undefined;
	readonly url?: string | undefined;
	readonly headers: IncomingHttpHeaders;
	/** Flat `[name, value, …]`; with HTTP/2 also the pseudo header fields, whose names begin with a colon. */
	readonly rawHeaders: string[];
	readonly rawTrailers: string[];
	readonly socket: Socket;
}

export interface ClientResponse {
	readonly headersSent: boolean;
	readonly socket: Socket | null;
	setHeader(name: string, value: string | number): unknown;
	writeHead(status: number): unknown;
	write(chunk: Buffer): boolean;
	end(): unknown;
	end(text: string): unknown;
	writeContinue(): void;
	destroy(): unknown;
	on(event: "close" | "drain" | "error", listener: () => void): unknown;
	once(event: "close", listener: () => void): unknown;
}

/** True when the request is followed by a body. */
export function hasBody(req: ClientRequest): boolean {
	if (req instanceof Http2ServerRequest) return !req.stream.endAfterHeaders;
	return req.headers["transfer-encoding"] !== undefined || Number(req.headers["content-length"] ?? 0) > 0;
}

/** False when nothing that is written can reach the client any more. */
export function isOpen(res: ClientResponse): boolean {
	if (res instanceof Http2ServerResponse) return !res.stream.destroyed && !res.stream.closed;
	return res instanceof ServerResponse && !res.destroyed;
}

/** @throws when the status or a header field can't be sent */
export function writeHead(res: ClientResponse, from: IncomingMessage, headers: string[]): void {
	const status = from.statusCode ?? 502;
	if (res instanceof Http2ServerResponse) {
		res.sendDate = false;
		// A length that does not come true is an error of the whole stream (RFC 9113 §8.1.1).
		writeHttp2Head(res, status, takesBody(res, from) ? headers : withoutFields(CONTENT_LENGTH, headers));
	} else if (res instanceof ServerResponse) {
		res.sendDate = false;
		res.writeHead(status, from.statusMessage ?? "", headers);
	}
}

const CONTENT_LENGTH: ReadonlySet<string> = new Set(["content-length"]);
/** Answers without content (RFC 9110 §15.3.5, §15.3.6). A guest's HTTP/1.1 can frame some all the same. */
const EMPTY: ReadonlySet<number> = new Set([204, 205]);

/** False when the answer ends with its head: with HTTP/2 there is no way to send more. */
export function takesBody(res: ClientResponse, from: IncomingMessage): boolean {
	return !(res instanceof Http2ServerResponse && EMPTY.has(from.statusCode ?? 0));
}

/** Fields of HTTP/1.1 that HTTP/2 forbids (RFC 9113 §8.2.2); Node throws for them. */
const ONLY_HTTP1 = new Set([
	"connection",
	"http2-settings",
	"keep-alive",
	"proxy-connection",
	"te",
	"transfer-encoding",
	"upgrade",
]);

/**
 * @throws when a field can't be sent, like a second value of one that may be there once; none is left in `res` then,
 * else the answer in its place would fail by the same field
 */
export function writeHttp2Head(res: Http2ServerResponse, status: number, headers: readonly string[]): void {
	const allowed = withoutFields(ONLY_HTTP1, headers);
	try {
		// Without words beside the status: HTTP/2 has none. Node takes the flat form, its types don't know.
		res.writeHead(status, allowed as never);
	} catch (error) {
		for (const name of res.getHeaderNames()) res.removeHeader(name);
		// The one field that Node does not remove.
		res.setHeader("date", new Date().toUTCString());
		throw error;
	}
}

/** Sends what `writeHead` has prepared; with HTTP/2 it is on its way already. */
export function flushHead(res: ClientResponse): void {
	if (res instanceof ServerResponse && res.socket?.writable === true) res.flushHeaders();
}

/**
 * What is written from now on in this turn of the event loop leaves in one piece: a last chunk with the end right behind
 * it, which many clients wait for, would else be two packets and wake them twice.
 */
export function gather(res: ClientResponse): void {
	if (!(res instanceof ServerResponse)) return;
	const { socket } = res;
	if (socket === null || socket.writableCorked > 0) return;
	socket.cork();
	setImmediate(() => socket.uncork());
}

export function addTrailers(res: ClientResponse, trailers: readonly [name: string, value: string][]): void {
	if (res instanceof ServerResponse) res.addTrailers([...trailers]);
	// One that can't be sent would be noticed only when nobody can catch it.
	else if (res instanceof Http2ServerResponse)
		res.addTrailers(Object.fromEntries(trailers.filter(([name]) => !ONLY_HTTP1.has(name.toLowerCase()))));
}

/**
 * Cuts a response short, in the way that tells clients that the sandbox ended. Its headers have been sent; nothing may
 * be written to it afterwards. With HTTP/2 that concerns this one stream: others of its connection may belong to other
 * sandboxes. Clients take any code but INTERNAL_ERROR for some other failure.
 */
export function dropResponse(req: ClientRequest, res: ClientResponse): void {
	if (res instanceof Http2ServerResponse) {
		res.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
		return;
	}
	const { socket } = res;
	if (socket === null) {
		// Still queued behind an earlier answer of a pipelining client: none of it has been sent.
		res.destroy();
		return;
	}
	dropSocket(socket);
	req.resume();
}
