/** The streamed answer to `POST /execute`: headers at once, one event per line, a sign of life in every silence. */

import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { type ExecutionEvent, encodeEvent, type StreamEvent } from "../events.ts";

/** Longest silence. Writing is also how a dead client is noticed. */
const KEEPALIVE_MS = 5_000;

export class ExecutionStream {
	/** Aborted when the client is gone before the end. */
	readonly clientGone: AbortSignal;
	readonly #response: ServerResponse;
	readonly #keepalive: NodeJS.Timeout;

	constructor(response: ServerResponse) {
		this.#response = response;
		const gone = new AbortController();
		this.clientGone = gone.signal;
		this.#keepalive = setInterval(() => this.#write({ type: "keepalive" }), KEEPALIVE_MS);
		response.on("close", () => {
			clearInterval(this.#keepalive);
			if (!response.writableFinished) gone.abort(new Error("the client closed the connection"));
		});
		if (response.destroyed) gone.abort(new Error("the client closed the connection"));
		response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
		response.flushHeaders();
	}

	/** Sends one event. The promise, if any, settles when a slow client has caught up or gone. */
	emit(event: ExecutionEvent): Promise<void> | undefined {
		this.#keepalive.refresh();
		if (this.#write(event) || this.clientGone.aborted) return undefined;
		return this.#drained();
	}

	/** Sends the last line. */
	end(): void {
		clearInterval(this.#keepalive);
		if (this.clientGone.aborted) return;
		this.#write({ type: "end_of_execution" });
		this.#response.end();
	}

	#write(event: StreamEvent): boolean {
		if (this.clientGone.aborted) return true;
		return this.#response.write(encodeEvent(event));
	}

	async #drained(): Promise<void> {
		await once(this.#response, "drain", { signal: this.clientGone }).catch(() => undefined);
	}
}
