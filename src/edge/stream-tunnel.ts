/**
 * A WebSocket that a client opened on a stream of HTTP/2 (RFC 8441). The guest sees an ordinary upgrade of HTTP/1.1;
 * after it agreed, bytes are passed on both ways, each direction ending by itself. Nothing that happens here concerns
 * the other streams of the connection.
 */
import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Socket } from "node:net";
import { failed } from "./answers.ts";
import { Asking, IDLE_TIMEOUT_MS } from "./asking.ts";
import { isOpen, writeHttp2Head } from "./client.ts";
import { withoutFields } from "./fields.ts";
import { responseHeaders, upgradeHeaders } from "./headers.ts";
import { requestUpgrade } from "./tunnel.ts";

const NONCE_BYTES = 16;
/** Source: RFC 6455 §1.3. */
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION = "13";
/** Fields that HTTP/2 does without: of the handshake (RFC 8441 §5), which the edge has with the guest, and of a body. */
const HANDSHAKE: ReadonlySet<string> = new Set(["sec-websocket-key", "sec-websocket-accept", "content-length"]);

/** The protocol that an extended CONNECT asks for; undefined for a plain one. */
export function connectProtocol(req: Http2ServerRequest): string | undefined {
	const protocol = req.headers[":protocol"];
	return typeof protocol === "string" ? protocol.toLowerCase() : undefined;
}

export class StreamTunnel extends Asking<Http2ServerRequest, Http2ServerResponse> {
	readonly #nonce = randomBytes(NONCE_BYTES).toString("base64");
	#remote: Socket | undefined;

	protected override send(): void {
		const upstream = requestUpgrade(this.guest, this.plan, "GET", this.#handshake(), this.abandoned);
		this.upstream = upstream;
		upstream.on("upgrade", (response, remote, first) => this.#onUpgrade(response, remote as Socket, first));
		upstream.on("response", (response) => this.#onDeclined(response));
		upstream.on("error", () => this.answerClosed());
		upstream.end();
	}

	protected override release(): void {
		this.#remote?.destroy();
	}

	#handshake(): string[] {
		const headers = withoutFields(HANDSHAKE, upgradeHeaders(this.req, this.plan, "websocket"));
		if (this.req.headers["sec-websocket-version"] === undefined) headers.push("Sec-WebSocket-Version", VERSION);
		return [...headers, "Sec-WebSocket-Key", this.#nonce];
	}

	#onUpgrade(response: IncomingMessage, remote: Socket, first: Buffer): void {
		remote.on("error", () => {});
		if (this.settled || !isOpen(this.res)) {
			remote.destroy();
			return;
		}
		if (response.headers["sec-websocket-accept"] !== acceptOf(this.#nonce)) {
			remote.destroy();
			this.#decline("answered the WebSocket handshake wrongly");
			return;
		}
		this.#remote = remote;
		remote.setNoDelay(true);
		this.res.sendDate = false;
		try {
			writeHttp2Head(this.res, 200, withoutFields(HANDSHAKE, responseHeaders(response)));
		} catch {
			this.#decline("answered the WebSocket handshake with headers that cannot be passed on");
			return;
		}
		if (first.length > 0) this.res.write(first);
		this.#relay(remote);
		this.res.stream.setTimeout(IDLE_TIMEOUT_MS, () => this.cut());
	}

	/** At the pace of the slower side. */
	#relay(remote: Socket): void {
		const [req, res] = [this.req, this.res];
		remote.on("data", (chunk: Buffer) => {
			if (!res.write(chunk)) remote.pause();
		});
		res.on("drain", () => remote.resume());
		remote.once("end", () => res.end());
		remote.once("close", () => {
			if (!remote.readableEnded) this.cut();
		});
		req.on("data", (chunk: Buffer) => {
			if (!remote.write(chunk)) req.pause();
		});
		remote.on("drain", () => req.resume());
		req.once("end", () => remote.end());
	}

	#onDeclined(response: IncomingMessage): void {
		const status = response.statusCode ?? 0;
		if (status < 200 || status >= 300) {
			this.passOn(response);
			return;
		}
		// To the client it would mean that the WebSocket is open.
		response.destroy();
		this.#decline(`answered ${status} instead of opening a WebSocket`);
	}

	#decline(what: string): void {
		const { sandboxId, port } = this.plan;
		this.answer(failed(sandboxId, 502, `The server on port ${port} of the sandbox ${what}`));
	}
}

function acceptOf(nonce: string): string {
	return createHash("sha1")
		.update(nonce + ACCEPT_SUFFIX)
		.digest("base64");
}
