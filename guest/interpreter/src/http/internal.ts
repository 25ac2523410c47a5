/**
 * The server for the agent of the same sandbox, on loopback only. `POST /reseed` with `{"entropy": "<base64, 32 bytes>"}`
 * gives every kernel new random seeds. Answers 204 at once, so that a start need not wait for kernels whose memory is
 * still being read; each takes its seed before it runs anything more.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { ContextRegistry } from "../contexts/registry.ts";
import { HttpError, readObject } from "./requests.ts";
import { sendError, sendText } from "./responses.ts";

const ENTROPY_BYTES = 32;

export function createInternalServer(registry: ContextRegistry): Server {
	return createServer((request, response) => {
		answer(registry, request, response).catch((error: unknown) => {
			if (error instanceof HttpError) sendError(response, error);
			else sendText(response, 500, String(error));
		});
	});
}

async function answer(registry: ContextRegistry, request: IncomingMessage, response: ServerResponse): Promise<void> {
	if (request.method !== "POST" || request.url !== "/reseed") throw new HttpError(404, { detail: "Not Found" });
	const { entropy } = await readObject(request);
	const bytes = Buffer.from(typeof entropy === "string" ? entropy : "", "base64");
	if (bytes.length !== ENTROPY_BYTES) throw new HttpError(400, `entropy: expected ${ENTROPY_BYTES} bytes in base64`);
	registry.reseed(bytes);
	response.writeHead(204).end();
}
