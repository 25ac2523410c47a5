/** One request to a guest and its answer. The client may speak HTTP/1.1 or HTTP/2, the guest is asked in HTTP/1.1. */
import { type ClientRequest as GuestRequest, request } from "node:http";
import { IDEMPOTENT_METHODS } from "../protocol/index.ts";
import { noAnswerInTime } from "./answers.ts";
import { Asking, IDLE_TIMEOUT_MS } from "./asking.ts";
import { type ClientRequest, type ClientResponse, hasBody } from "./client.ts";
import type { DialOptions } from "./dial.ts";
import { requestHeaders } from "./headers.ts";
import { relayRequestBody } from "./relay.ts";

export class Exchange extends Asking<ClientRequest, ClientResponse> {
	#stopUpload: () => void = () => {};

	protected override send(): void {
		const dialing: DialOptions = { abandoned: this.abandoned };
		const upstream = request({
			...dialing,
			agent: this.guest.agent,
			host: this.guest.key.address,
			port: this.plan.port,
			method: this.req.method,
			path: this.plan.path,
			headers: requestHeaders(this.req, this.plan),
			timeout: IDLE_TIMEOUT_MS,
		});
		this.upstream = upstream;
		upstream.on("continue", () => this.res.writeContinue());
		upstream.on("response", (response) => this.passOn(response));
		// Nobody asked for one. Node tells of it in no other way.
		upstream.on("upgrade", (_response, socket) => {
			socket.destroy();
			this.answerClosed();
		});
		upstream.on("timeout", () => this.#onTimeout());
		upstream.on("error", () => this.#onError(upstream));
		if (hasBody(this.req)) this.#stopUpload = relayRequestBody(this.req, upstream);
		else upstream.end();
	}

	protected override release(): void {
		this.#stopUpload();
	}

	#onError(upstream: GuestRequest): void {
		if (this.settled || upstream !== this.upstream) return;
		// Most likely the guest closed it just as it was used again; if not, asking twice does no harm.
		const repeatable = upstream.reusedSocket && !hasBody(this.req) && IDEMPOTENT_METHODS.has(this.req.method ?? "");
		if (repeatable && !this.res.headersSent) this.send();
		else this.answerClosed();
	}

	#onTimeout(): void {
		this.answer(noAnswerInTime(this.plan.sandboxId, this.plan.port, IDLE_TIMEOUT_MS / 1000));
	}
}
