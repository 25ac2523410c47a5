/**
 * The listeners that clients connect to, a plain one and, with a certificate, an encrypted one. API and sandbox traffic
 * share them: requests that name a sandbox go to the edge, all others to the API. Owns the servers and their sockets.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { IDLE_TIMEOUT_MS } from "./asking.ts";
import { dropSocket, isDropped } from "./drop.ts";
import type { Edge } from "./edge.ts";
import { createHttp2, type Http2Door } from "./http2.ts";
import { type Certificate, openTls, type TlsListener, type TlsOptions } from "./tls-listener.ts";
import { WAITING_BYTES } from "./waiting.ts";

export interface FrontDoorOptions {
	/** Answers requests that are not for a sandbox. */
	readonly api: RequestListener;
	readonly edge: Edge;
	/** Address to listen on. */
	readonly bind: string;
	/** 0 takes a free one. */
	readonly port: number;
	/** Listens with TLS too, on a port of its own. */
	readonly tls?: TlsOptions;
	/** Ends the door: as `close`. */
	readonly signal: AbortSignal;
}

export interface FrontDoor {
	readonly address: string;
	readonly port: number;
	readonly tlsPort: number | undefined;
	/** Takes another certificate into use for connections from now on. @throws when it and its key don't fit */
	renew(certificate: Certificate): void;
	/**
	 * Stops accepting, ends sandbox traffic (the sandboxes live on), lets the API finish what it has begun. Resolves when
	 * every connection is closed.
	 */
	close(): Promise<void>;
}

const MAX_HEADER_BYTES = 64 * 1024;
const HEADERS_TIMEOUT_MS = 60_000;
/** How long requests to the API may go on after `close`, ms. */
const CLOSE_GRACE_MS = 30_000;
const CLOSE_IDLE_EVERY_MS = 50;

/** Listens. @throws the listen error, for example EADDRINUSE */
export async function openFrontDoor({ api, edge, bind, port, tls, signal }: FrontDoorOptions): Promise<FrontDoor> {
	signal.throwIfAborted();
	const server = createHttp1(api, edge);
	const http2 = createHttp2(api, edge);
	await listen(server, bind, port);
	const encrypted = tls && (await openTls(bind, tls, server, http2).catch((error: unknown) => abandon(server, error)));
	let closed: Promise<void> | undefined;
	const close = () => {
		closed ??= shut({ server, http2, encrypted }, edge);
		return closed;
	};
	signal.addEventListener("abort", () => void close(), { once: true });
	const { address, port: actualPort } = server.address() as AddressInfo;
	const renew = (certificate: Certificate) => encrypted?.renew(certificate);
	return { address, port: actualPort, tlsPort: encrypted?.port, renew, close };
}

function abandon(server: Server, error: unknown): never {
	server.close();
	throw error;
}

function createHttp1(api: RequestListener, edge: Edge): Server {
	const server = createServer({
		highWaterMark: WAITING_BYTES,
		maxHeaderSize: MAX_HEADER_BYTES,
		headersTimeout: HEADERS_TIMEOUT_MS,
		keepAliveTimeout: IDLE_TIMEOUT_MS,
		// An upload may take as long as it likes.
		requestTimeout: 0,
		shouldUpgradeCallback: (req) => edge.upgrades(req),
	});
	// With a limit Node may leave out the fields behind it, also one that frames the body: the guest would take what
	// comes next on its connection for that body, and it may be another client's request.
	server.maxHeadersCount = 0;
	const unanswered = new Unanswered();
	server.on("request", (req, res) => {
		unanswered.add(req, res);
		// After an upgrade wish that is ignored Node loses what came in the same packet: let nothing follow on this connection.
		if (req.headers.upgrade !== undefined) res.shouldKeepAlive = false;
		if (edge.handles(req)) edge.request(req, res);
		else api(req, res);
	});
	server.on("checkContinue", (req: IncomingMessage, res: ServerResponse) => {
		unanswered.add(req, res);
		// The guest itself says whether it wants the body.
		if (edge.handles(req)) {
			edge.request(req, res);
			return;
		}
		res.writeContinue();
		api(req, res);
	});
	server.on("upgrade", (req, client, head) => {
		client.on("error", () => client.destroy());
		// Two writers on one connection: no client that means well upgrades before it has its earlier answers.
		if (unanswered.has(client)) client.destroy();
		else edge.upgrade(req, client, head);
	});
	server.on("clientError", refuseMalformed);
	return server;
}

/** Which connections have requests whose answers are not complete: more than one when a client pipelines. */
class Unanswered {
	readonly #counts = new WeakMap<object, number>();

	add(req: IncomingMessage, res: ServerResponse): void {
		const { socket } = req;
		this.#counts.set(socket, (this.#counts.get(socket) ?? 0) + 1);
		res.once("close", () => this.#counts.set(socket, (this.#counts.get(socket) ?? 1) - 1));
	}

	has(socket: object): boolean {
		return (this.#counts.get(socket) ?? 0) > 0;
	}
}

function listen(server: Server, bind: string, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen(port, bind, () => {
			server.off("error", reject);
			resolve();
		});
	});
}

interface Listeners {
	readonly server: Server;
	readonly http2: Http2Door;
	readonly encrypted: TlsListener | undefined;
}

async function shut({ server, http2, encrypted }: Listeners, edge: Edge): Promise<void> {
	const done = Promise.all([new Promise<void>((resolve) => server.close(() => resolve())), encrypted?.close()]);
	edge.close();
	http2.close();
	// Connections that were busy at that moment fall idle one by one, and would stay open for their keep-alive time.
	const idle = setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_EVERY_MS);
	const impatient = setTimeout(() => {
		server.closeAllConnections();
		http2.destroy();
	}, CLOSE_GRACE_MS);
	await done;
	clearInterval(idle);
	clearTimeout(impatient);
}

const STATUS_TEXT: Readonly<Record<string, string>> = {
	HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
	ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};

/** Answers what is not HTTP, unless an answer is on its way already: then only an end is right. */
function refuseMalformed(
	error: Error & { code?: string; bytesParsed?: number },
	client: Duplex & { bytesWritten?: number },
): void {
	if (isDropped(client)) return;
	if (error.code === "ECONNRESET" || !client.writable) {
		client.destroy();
		return;
	}
	if (client.bytesWritten === 0) {
		const status = STATUS_TEXT[error.code ?? ""] ?? "400 Bad Request";
		const body = JSON.stringify({ code: Number(status.slice(0, 3)), message: "The request is not valid HTTP/1.1" });
		client.write(
			`HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
		);
	}
	dropSocket(client);
}
