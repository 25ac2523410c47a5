/** Small things that both HTTP servers of the daemon need. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { HttpError } from "./errors.ts";

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
	const text = JSON.stringify(body);
	response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
	response.end(text);
}

/** An answer `{code, message}`; when the answer has begun already, the connection is broken off instead. */
export function sendError(response: ServerResponse, status: number, message: string): void {
	if (response.headersSent) {
		response.destroy();
		return;
	}
	for (const name of ["content-encoding", "content-length", "content-disposition", "last-modified"]) response.removeHeader(name);
	sendJson(response, status, { code: status, message });
}

/** @throws HttpError 413 for more than `limit` bytes */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const chunk of request.iterator({ destroyOnReturn: false })) {
		const data: Buffer = chunk;
		length += data.length;
		if (length > limit) throw new HttpError(413, `the body must not exceed ${limit} bytes`);
		chunks.push(data);
	}
	return Buffer.concat(chunks);
}
