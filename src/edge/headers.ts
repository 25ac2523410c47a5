/**
 * Header fields on their way through the proxy, in the flat `[name, value, …]` form of Node, so that order, case and
 * repeated fields stay as they were sent. Fields that concern one connection only are never passed on (RFC 9110 §7.6.1).
 */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { type ClientRequest, hasBody } from "./client.ts";
import { fields } from "./fields.ts";

const PER_CONNECTION = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"]);
/** Replaced by the proxy's own values. */
const FORWARDED = new Set(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]);
/** The token is for the proxy alone; the others are restated. */
const REPLACED = new Set(["e2b-traffic-access-token", "host", "cookie"]);
/** Methods whose requests usually have no body: without one they need no length. */
const BODILESS = new Set(["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT"]);

export interface ForwardOptions {
	/** Host as the client named it. */
	readonly authority: string;
	/** Replaces the Host header when defined. */
	readonly maskedHost: string | undefined;
}

/** Header fields for the guest's plain request. */
export function requestHeaders(req: ClientRequest, options: ForwardOptions): string[] {
	const headers = forwardedRequest(req, options);
	// The framing is restated, not guessed: Node's client would send a GET's chunks without any framing.
	const hasLength = req.headers["content-length"] !== undefined;
	if (hasBody(req) && (!hasLength || req.headers["transfer-encoding"] !== undefined))
		headers.push("Transfer-Encoding", "chunked");
	else if (!hasLength && !BODILESS.has(req.method ?? "GET")) headers.push("Content-Length", "0");
	if (acceptsTrailers(req)) headers.push("TE", "trailers", "Connection", "keep-alive, TE");
	return headers;
}

/** Header fields for the guest's upgrade request. */
export function upgradeHeaders(req: ClientRequest, options: ForwardOptions, protocol: string): string[] {
	return [...forwardedRequest(req, options), "Connection", "Upgrade", "Upgrade", protocol];
}

/** Header fields of the guest's answer for the client. */
export function responseHeaders(res: IncomingMessage): string[] {
	return passedOn(res, (name) => !PER_CONNECTION.has(name));
}

function forwardedRequest(req: ClientRequest, { authority, maskedHost }: ForwardOptions): string[] {
	const headers = passedOn(req, (name) => !PER_CONNECTION.has(name) && !FORWARDED.has(name) && !REPLACED.has(name));
	// HTTP/2 clients may send each cookie in a field of its own; a server of HTTP/1.1 takes the first (RFC 9113 §8.2.3).
	if (req.headers.cookie !== undefined) headers.push("Cookie", req.headers.cookie);
	const client = req.socket.remoteAddress;
	const before = req.headers["x-forwarded-for"];
	const proto = req.headers["x-forwarded-proto"];
	headers.push("Host", maskedHost ?? authority, "X-Forwarded-Host", authority);
	if (client !== undefined) headers.push("X-Forwarded-For", before === undefined ? client : `${before}, ${client}`);
	headers.push("X-Forwarded-Proto", typeof proto === "string" ? proto : schemeOf(req));
	return headers;
}

function schemeOf(req: ClientRequest): string {
	return "encrypted" in req.socket ? "https" : "http";
}

function acceptsTrailers(req: ClientRequest): boolean {
	return /(^|,)\s*trailers\s*(,|;|$)/i.test(String(req.headers.te ?? ""));
}

interface Message {
	readonly headers: IncomingHttpHeaders;
	readonly rawHeaders: readonly string[];
}

function passedOn(message: Message, keep: (name: string) => boolean): string[] {
	const named = namedByConnection(message);
	const headers: string[] = [];
	for (const [name, value] of fields(message.rawHeaders)) {
		const lower = name.toLowerCase();
		if (!name.startsWith(":") && keep(lower) && !named.has(lower)) headers.push(name, value);
	}
	return headers;
}

const NONE: ReadonlySet<string> = new Set();
/** A sender may not have the fields removed that say how long the body is or whom the request is for. */
const NEVER_NAMED = new Set(["content-length", "host"]);

function namedByConnection(message: Message): ReadonlySet<string> {
	const connection = message.headers.connection;
	if (connection === undefined || connection.toLowerCase() === "keep-alive") return NONE;
	const names = connection.split(",").map((name) => name.trim().toLowerCase());
	return new Set(names.filter((name) => !NEVER_NAMED.has(name)));
}
