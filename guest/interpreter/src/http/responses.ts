/** Answers with one body. */

import type { ServerResponse } from "node:http";
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
	if (typeof body === "string") sendText(response, status, body);
	else sendJson(response, status, body);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
	response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
	response.end(body);
}
