/**
 * HTTP/2 for clients that ask for it on the TLS listener. One connection carries requests to many sandboxes, so nothing
 * that happens to one of them may end it.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createServer, type Http2ServerRequest, type Http2ServerResponse, type ServerHttp2Session } from "node:http2";
import type { TLSSocket } from "node:tls";
import { IDLE_TIMEOUT_MS } from "./asking.ts";
import type { Edge } from "./edge.ts";
import { connectProtocol } from "./stream-tunnel.ts";

/** Clients expect at least 100 (RFC 9113 §6.5.2). */
const MAX_STREAMS = 256;
/** Bytes a client may send ahead on one stream, and on all of a connection. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
/** MB of memory that Node lets one connection take: the windows and as much again. */
const SESSION_MEMORY_MB = 48;

export interface Http2Door {
	/** Takes over a connection on which HTTP/2 was agreed. */
	serve(socket: TLSSocket): void;
	/** Lets the streams under way end and takes no new ones. */
	close(): void;
	/** Ends all connections at once. */
	destroy(): void;
}

export function createHttp2(api: RequestListener, edge: Edge): Http2Door {
	const sessions = new Set<ServerHttp2Session>();
	const server = createServer({
		settings: { maxConcurrentStreams: MAX_STREAMS, initialWindowSize: STREAM_WINDOW_BYTES, enableConnectProtocol: true },
		maxSessionMemory: SESSION_MEMORY_MB,
	});
	const handle = (req: Http2ServerRequest, res: Http2ServerResponse) => {
		if (edge.handles(req)) edge.request(req, res);
		else toApi(api, req, res);
	};
	server.on("request", handle);
	server.on("checkContinue", (req: Http2ServerRequest, res: Http2ServerResponse) => {
		// The guest itself says whether it wants the body.
		if (!edge.handles(req)) res.writeContinue();
		handle(req, res);
	});
	server.on("connect", (req: Http2ServerRequest, res: Http2ServerResponse) => {
		const protocol = connectProtocol(req);
		// A plain CONNECT would make this a proxy to anywhere; the API has no streams.
		if (protocol === undefined || !edge.handles(req)) res.writeHead(405).end();
		else edge.connect(req, res, protocol);
	});
	server.on("session", (session) => {
		sessions.add(session);
		session.once("close", () => sessions.delete(session));
		session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
		session.setTimeout(IDLE_TIMEOUT_MS, () => session.close());
	});
	return {
		serve: (socket) => void server.emit("connection", socket),
		close: () => {
			for (const session of sessions) session.close();
		},
		destroy: () => {
			for (const session of sessions) session.destroy();
		},
	};
}

/** Node's HTTP/2 objects stand in for those of HTTP/1.1 by design; its types don't say so. */
function toApi(api: RequestListener, req: unknown, res: unknown): void {
	api(req as IncomingMessage, res as ServerResponse);
}
