/** Answers with one body. */

import { type ServerResponse, STATUS_CODES } from "node:http";
import type { HttpError } from "./requests.ts";

/** Browsers may call the interpreter from any page: access is decided by token, never by cookie. */
export function allowAnyOrigin(response: ServerResponse): void {
	response.setHeader("access-control-allow-origin", "*");
	response.setHeader("access-control-allow-methods", "*");
	response.setHeader("access-control-allow-headers", "*");
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
	send(response, status, "application/json", JSON.stringify(value));
}

export function sendText(response: ServerResponse, status: number, text: string): void {
	send(response, status, "text/plain; charset=utf-8", text);
}

/** Answers with what a handler threw. */
export function sendError(response: ServerResponse, { status, body }: HttpError): void {
	if (typeof body === "string") sendFailure(response, status, body);
	else sendJson(response, status, body);
}

/** Characters of a status line that say what went wrong. */
const MAX_REASON = 200;

/** A refusal in words. The status line has them too: it is all that the JavaScript client shows of most of them. */
export function sendFailure(response: ServerResponse, status: number, text: string): void {
	// A status line holds one line of ASCII.
	const reason = text.replace(/[^\x20-\x7e]+/g, " ").slice(0, MAX_REASON);
	response.statusMessage = `${STATUS_CODES[status]}: ${reason}`;
	sendText(response, status, text);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
	response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
	response.end(body);
}
