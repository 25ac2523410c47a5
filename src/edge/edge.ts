/**
 * Traffic to sandboxes. Guarantees: a request reaches a guest only after control admitted it, never its control port;
 * nothing is buffered; and when a guest ends, every client of it learns so in the way its protocol means it.
 */
import type { IncomingMessage } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { offeredProtocols } from "../protocol/index.ts";
import { Admissions, type EdgeControl, isAddressed, type Verdict } from "./admission.ts";
import { internalError, sendAnswer, unknownProtocol } from "./answers.ts";
import { type ClientRequest, type ClientResponse, hasBody, isOpen } from "./client.ts";
import { dropSocket, isDropped } from "./drop.ts";
import { Exchange } from "./exchange.ts";
import { Guests } from "./guests.ts";
import { signedFileRequest } from "./signed-files.ts";
import { StreamTunnel } from "./stream-tunnel.ts";
import { destinationOf } from "./target.ts";
import { responseOn, Tunnel } from "./tunnel.ts";

export interface EdgeOptions {
	readonly control: EdgeControl;
	readonly log: Logger;
	/** Requests and tunnels that one sandbox may have open at a time; more are answered 429. */
	readonly connectionLimit?: number;
}

export interface Edge {
	/** True for requests to sandboxes, false for requests to the control plane. */
	handles(req: ClientRequest): boolean;
	/** True for requests to sandboxes that `upgrade` takes; other upgrade wishes are ignored, as HTTP allows. */
	upgrades(req: IncomingMessage): boolean;
	request(req: ClientRequest, res: ClientResponse): void;
	/**
	 * @param client a connection with no other answer on its way, whose errors the caller listens to
	 * @param head first bytes after the request's headers
	 */
	upgrade(req: IncomingMessage, client: Duplex, head: Buffer): void;
	/** @param protocol that a client wants to speak on this stream, as its extended CONNECT (RFC 8441) named it */
	connect(req: Http2ServerRequest, res: Http2ServerResponse, protocol: string): void;
	/** Ends all traffic; the sandboxes live on. */
	close(): void;
}

/** The only protocol that has a way from HTTP/2 to the guest's HTTP/1.1. */
const WEBSOCKET = "websocket";
const DEFAULT_CONNECTION_LIMIT = 5_000;

export function createEdge({ control, log, connectionLimit = DEFAULT_CONNECTION_LIMIT }: EdgeOptions): Edge {
	const guests = new Guests();
	const admissions = new Admissions(control, guests, connectionLimit);
	const closing = new AbortController();
	const unsubscribe = control.onGone((gone) => guests.gone(gone.sandboxId, gone.incarnation));

	/**
	 * Runs one request. Never rejects, whatever goes wrong in the edge itself: nobody could catch it.
	 * @param fail ends the client's side when `run` could not
	 */
	async function serve(req: ClientRequest, run: (verdict: Verdict) => void, fail: () => void): Promise<void> {
		try {
			run(await admissions.judge(req, closing.signal));
		} catch (error) {
			log.error({ err: error, url: req.url }, "a request to a sandbox failed in the edge");
			fail();
		}
	}

	return {
		handles(req) {
			if (isDropped(req.socket)) return true;
			const destination = destinationOf(req);
			if (destination === undefined) return true;
			return (
				isAddressed(req, destination) ||
				destination.hostname.startsWith("sandbox.") ||
				signedFileRequest(req, destination.path) !== undefined
			);
		},

		upgrades(req) {
			// A request with a body is served as an ordinary one: its body would be taken for the tunnel's first bytes.
			return offeredProtocols(req.headers.upgrade) !== "" && !hasBody(req) && this.handles(req);
		},

		request(req, res) {
			if (isDropped(req.socket)) {
				req.resume();
				return;
			}
			const run = (verdict: Verdict) => {
				if (!isOpen(res) || res.headersSent) return;
				if ("answer" in verdict) sendAnswer(req, res, verdict.answer);
				else new Exchange(req, res, verdict.guest, verdict.plan).start();
			};
			const fail = () => {
				if (res.headersSent) res.destroy();
				else sendAnswer(req, res, internalError);
			};
			void serve(req, run, fail);
		},

		upgrade(req, client, head) {
			if (!this.upgrades(req)) {
				dropSocket(client);
				return;
			}
			const run = (verdict: Verdict) => {
				if (client.destroyed) return;
				if ("answer" in verdict) sendAnswer(req, responseOn(req, client), verdict.answer);
				else new Tunnel(req, client, verdict.guest, verdict.plan).start(head);
			};
			void serve(req, run, () => client.destroy());
		},

		connect(req, res, protocol) {
			const run = (verdict: Verdict) => {
				if (!isOpen(res)) return;
				if ("answer" in verdict) sendAnswer(req, res, verdict.answer);
				else if (protocol !== WEBSOCKET) sendAnswer(req, res, unknownProtocol(verdict.plan.sandboxId, protocol));
				else new StreamTunnel(req, res, verdict.guest, verdict.plan).start();
			};
			void serve(req, run, () => res.stream.close(constants.NGHTTP2_INTERNAL_ERROR));
		},

		close() {
			unsubscribe();
			closing.abort(new Error("the server is shutting down"));
			guests.endAll();
		},
	};
}
