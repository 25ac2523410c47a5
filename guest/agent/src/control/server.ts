/**
 * The control port: the host's calls, from the gateway's address and signed. Who is root in the sandbox can take that
 * address too, and read what comes in; so the signature protects, and nothing that is sent here opens anything twice.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { CONTROL_SIGNATURE_HEADER } from "../../../../src/protocol/index.ts";
import { now } from "../clock.ts";
import { HttpError, messageOf } from "../errors.ts";
import { headerOf } from "../files/request.ts";
import { readBody, sendError } from "../http.ts";
import { log } from "../log.ts";
import { compactMemory } from "../memory.ts";
import { relayLoopback } from "../ports/loopback.ts";
import type { Session } from "../session.ts";
import type { Initialiser } from "./initialise.ts";
import { parseInit } from "./message.ts";
import { isSigned, parseControlKey } from "./signature.ts";

/** bytes; a bundle of certificates is the largest part */
const MAX_BODY = 8 * 1024 * 1024;

export interface ControlParts {
	readonly session: Session;
	readonly initialiser: Initialiser;
	/** The only address that may call. */
	readonly peer: string;
}

export function createControlServer({ session, initialiser, peer }: ControlParts): Server {
	/** One call at a time: each is checked with the key that the one before left. */
	let turn: Promise<void> = Promise.resolve();
	/** Of the call that opened the sandbox; the call itself is large, and would be in every snapshot. */
	let lastDigest: string | undefined;

	const initialise = async (body: Buffer, signature: string | undefined): Promise<void> => {
		const digest = createHash("sha256").update(body).digest("hex");
		// The host did not get our answer and asks again: that is done, and changes nothing.
		if (session.identity !== undefined && lastDigest === digest) return;
		if (!isSigned(body, signature, parseControlKey(session.controlKey))) throw new HttpError(401, "the signature does not match");
		const init = parseInit(body);
		parseControlKey(init.nextControlKey);
		lastDigest = undefined;
		await initialiser.run(init);
		lastDigest = digest;
	};

	const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
		if (request.method === "GET" && request.url === "/health") {
			response.writeHead(204).end();
			return;
		}
		if (!isPeer(request, peer)) throw new HttpError(403, "this port is for the host only");
		if (request.method !== "POST") throw new HttpError(404, "page not found");
		// Needs no signature: it does nothing but cost a moment.
		if (request.url === "/compact") {
			compactMemory();
			response.writeHead(204).end();
			return;
		}
		if (request.url !== "/init") throw new HttpError(404, "page not found");
		const started = now();
		const body = await readBody(request, MAX_BODY);
		const mine = turn.then(() => initialise(body, headerOf(request, CONTROL_SIGNATURE_HEADER)));
		turn = mine.catch(() => undefined);
		await mine;
		const duration = (now() - started).toFixed(1);
		response.writeHead(204, { "Server-Timing": `init;dur=${duration}` }).end();
	};

	const server = createServer((request, response) => {
		handle(request, response).catch((error: unknown) => {
			log("control call failed", error);
			sendError(response, error instanceof HttpError ? error.status : 500, messageOf(error));
		});
	});
	relayLoopback(server, (request) => isPeer(request, peer) && session.identity !== undefined);
	return server;
}

function isPeer(request: IncomingMessage, peer: string): boolean {
	return request.socket.remoteAddress?.replace(/^::ffff:/, "") === peer;
}
