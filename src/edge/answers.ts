/**
 * What the edge itself answers instead of a sandbox. Clients tell "not running" from "unreachable" by status and
 * message, so the texts here are part of the protocol: only 502 may mean that a sandbox is not there.
 */
import { preflightHeaders } from "../protocol/index.ts";
import type { ClientRequest, ClientResponse } from "./client.ts";
import { isBrowserNavigation, renderPage } from "./page.ts";

export interface Answer {
	readonly status: number;
	/** JSON body, or a plain text; empty with a status that has none. */
	readonly body: Readonly<Record<string, string | number>> | string;
	readonly retryAfterSeconds?: number;
	/** Sent as `Should-Retry`. */
	readonly shouldRetry?: boolean;
	readonly headers?: Readonly<Record<string, string>>;
	/** What a person can make of it; shown in browsers only, since programs compare the body. */
	readonly hint?: string;
}

function answer(
	status: number,
	sandboxId: string,
	message: string,
	more: Readonly<Record<string, string | number>> = {},
): Answer {
	return { status, body: { sandboxId, message, ...more, code: status } };
}

export const invalidTarget = (text: string): Answer => ({ status: 400, body: text });

export const sandboxNotFound = (sandboxId: string): Answer => ({
	...answer(502, sandboxId, "The sandbox was not found"),
	hint: "It was killed, reached the end of its life, or is paused.",
});

/**
 * In the place of an agent whose sandbox sleeps: a browser never sends the token with its preflight, so that could wake
 * nobody, and the page's own request, which has the token, would never come.
 */
export const preflight = (req: ClientRequest): Answer => ({ status: 204, body: "", headers: preflightHeaders(req) });

export const portClosed = (sandboxId: string, port: number): Answer => ({
	...answer(502, sandboxId, "The sandbox is running but port is not open", { port }),
	hint: "Start a server on this port, then load the page again.",
});

export const noAnswerInTime = (sandboxId: string, port: number, seconds: number): Answer =>
	answer(504, sandboxId, `The sandbox did not answer within ${seconds} seconds`, { port });

const SECURED = "Sandbox is secured with traffic access token.";

export const trafficTokenMissing = (sandboxId: string): Answer =>
	answer(403, sandboxId, `${SECURED} Token header 'e2b-traffic-access-token' is missing`);

export const trafficTokenInvalid = (sandboxId: string): Answer =>
	answer(403, sandboxId, `${SECURED} Provided token in header 'e2b-traffic-access-token' is invalid`);

export const resumeForbidden = (sandboxId: string): Answer =>
	answer(403, sandboxId, "The sandbox is paused and can't be resumed with the given credentials");

export const reservedPort = (sandboxId: string, port: number): Answer =>
	answer(403, sandboxId, "The port is reserved and not reachable", { port });

export const stillTransitioning = (sandboxId: string): Answer =>
	answer(409, sandboxId, "The sandbox is still transitioning between states; try again");

/** As the API says it: another sandbox must end first. */
export const limitReached = (sandboxId: string, message: string): Answer => ({
	...answer(429, sandboxId, message),
	shouldRetry: false,
});

export const tooManyConnections = (sandboxId: string, connectionLimit: number): Answer =>
	answer(429, sandboxId, "Too many connections to the sandbox", { connectionLimit });

/** Source: RFC 9220 §3, for protocols that a server does not know. */
export const unknownProtocol = (sandboxId: string, protocol: string): Answer =>
	answer(501, sandboxId, `Streams cannot be opened for the protocol '${protocol.slice(0, 40)}', only for websocket`);

export const failed = (sandboxId: string, status: number, message: string): Answer => answer(status, sandboxId, message);

export const controlOnlyPath = (path: string): Answer => ({
	status: 404,
	body: { message: "The path is not available from outside of the sandbox", path, code: 404 },
});

/** Not 502: the sandbox lives on while this server does not. */
export const shuttingDown = (sandboxId: string): Answer => ({
	...answer(503, sandboxId, "The server is shutting down; try again when it is back"),
	retryAfterSeconds: 1,
});

/** A defect of the edge; it says nothing about the guest. */
export const internalError: Answer = { status: 500, body: { message: "internal error of the proxy", code: 500 } };

/** A signed URL that no running sandbox has signed. Same body as the agent's own refusal. */
export const invalidSignature: Answer = { status: 401, body: { code: 401, message: "invalid signature" } };

/** Sends an answer; the connection stays usable. What the client still uploads is read and thrown away. */
export function sendAnswer(req: ClientRequest, res: ClientResponse, answer: Answer): void {
	const { status, retryAfterSeconds, shouldRetry, headers = {} } = answer;
	const [type, text] = rendered(req, answer);
	if (text !== "") {
		res.setHeader("content-type", type);
		res.setHeader("content-length", Buffer.byteLength(text));
	}
	for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
	res.setHeader("access-control-allow-origin", "*");
	res.setHeader("cache-control", "no-store");
	if (retryAfterSeconds !== undefined) res.setHeader("retry-after", retryAfterSeconds);
	if (shouldRetry !== undefined) res.setHeader("should-retry", String(shouldRetry));
	res.writeHead(status);
	res.end(text);
	req.resume();
}

function rendered(req: ClientRequest, { status, body, hint }: Answer): [type: string, text: string] {
	if (typeof body === "string") return ["text/plain; charset=utf-8", body];
	if (isBrowserNavigation(req)) return ["text/html; charset=utf-8", renderPage(status, body, hint)];
	return ["application/json; charset=utf-8", JSON.stringify(body)];
}
