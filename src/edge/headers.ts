/**
 * Header fields on their way through the proxy, in the flat `[name, value, …]` form of Node, so that order, case and
 * repeated fields stay as they were sent. Fields that concern one connection only are never passed on (RFC 9110 §7.6.1).
 */
import type { IncomingMessage } from "node:http";

const PER_CONNECTION = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"]);
/** Replaced by the proxy's own values. */
const FORWARDED = new Set(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]);
/** For the proxy alone: the guest must not learn it. */
const TRAFFIC_TOKEN = "e2b-traffic-access-token";
/** Methods whose requests usually have no body: without one they need no length. */
const BODILESS = new Set(["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT"]);

export interface ForwardOptions {
	/** Host as the client named it. */
	readonly authority: string;
	/** Replaces the Host header when defined. */
	readonly maskedHost: string | undefined;
}

/** True when the request is followed by a body. */
export function hasBody(req: IncomingMessage): boolean {
	return req.headers["transfer-encoding"] !== undefined || Number(req.headers["content-length"] ?? 0) > 0;
}

/** Header fields for the guest's plain request. */
export function requestHeaders(req: IncomingMessage, options: ForwardOptions): string[] {
	const headers = forwardedRequest(req, options);
	// The framing is restated, not guessed: Node's client would send a GET's chunks without any framing.
	if (req.headers["transfer-encoding"] !== undefined) headers.push("Transfer-Encoding", "chunked");
	else if (req.headers["content-length"] === undefined && !BODILESS.has(req.method ?? "GET")) headers.push("Content-Length", "0");
	if (acceptsTrailers(req)) headers.push("TE", "trailers", "Connection", "keep-alive, TE");
	return headers;
}

/** Header fields for the guest's upgrade request. */
export function upgradeHeaders(req: IncomingMessage, options: ForwardOptions): string[] {
	return [...forwardedRequest(req, options), "Connection", "Upgrade", "Upgrade", req.headers.upgrade ?? ""];
}

/** Header fields of the guest's answer for the client. */
export function responseHeaders(res: IncomingMessage): string[] {
	return passedOn(res, (name) => !PER_CONNECTION.has(name));
}

function forwardedRequest(req: IncomingMessage, { authority, maskedHost }: ForwardOptions): string[] {
	const headers = passedOn(
		req,
		(name) => !PER_CONNECTION.has(name) && !FORWARDED.has(name) && name !== TRAFFIC_TOKEN && name !== "host",
	);
	const client = req.socket.remoteAddress;
	const before = req.headers["x-forwarded-for"];
	const proto = req.headers["x-forwarded-proto"];
	headers.push("Host", maskedHost ?? authority, "X-Forwarded-Host", authority);
	if (client !== undefined) headers.push("X-Forwarded-For", before === undefined ? client : `${before}, ${client}`);
	headers.push("X-Forwarded-Proto", typeof proto === "string" ? proto : schemeOf(req));
	return headers;
}

function schemeOf(req: IncomingMessage): string {
	return "encrypted" in req.socket ? "https" : "http";
}

function acceptsTrailers(req: IncomingMessage): boolean {
	return /(^|,)\s*trailers\s*(,|;|$)/i.test(String(req.headers.te ?? ""));
}

function passedOn(message: IncomingMessage, keep: (name: string) => boolean): string[] {
	const named = namedByConnection(message);
	const headers: string[] = [];
	for (const [name, value] of fields(message.rawHeaders)) {
		const lower = name.toLowerCase();
		if (keep(lower) && !named.has(lower)) headers.push(name, value);
	}
	return headers;
}

const NONE: ReadonlySet<string> = new Set();
/** A sender may not have the fields removed that say how long the body is or whom the request is for. */
const NEVER_NAMED = new Set(["content-length", "host"]);

function namedByConnection(message: IncomingMessage): ReadonlySet<string> {
	const connection = message.headers.connection;
	if (connection === undefined || connection.toLowerCase() === "keep-alive") return NONE;
	const names = connection.split(",").map((name) => name.trim().toLowerCase());
	return new Set(names.filter((name) => !NEVER_NAMED.has(name)));
}

/** Pairs of a flat header list. */
export function* fields(flat: readonly string[]): Generator<[name: string, value: string]> {
	for (let index = 0; index + 1 < flat.length; index += 2) yield [flat[index] ?? "", flat[index + 1] ?? ""];
}
