/**
 * One request to a guest and its answer. The client may speak HTTP/1.1 or HTTP/2, the guest is asked in HTTP/1.1.
 * Guarantees exactly one outcome for the client: the guest's whole answer, an answer of the edge (only before the guest's
 * headers were passed on), or a dropped connection; and that the guest learns when the client has left.
 */
import { type ClientRequest as GuestRequest, type IncomingMessage, request } from "node:http";
import { type Answer, invalidTarget, noAnswerInTime, portClosed, sendAnswer } from "./answers.ts";
import { type ClientRequest, type ClientResponse, dropResponse, hasBody } from "./client.ts";
import type { Flow, Guest } from "./guests.ts";
import { requestHeaders } from "./headers.ts";
import { relayRequestBody, relayResponse } from "./relay.ts";

/** How long a connection may be silent in both directions, ms. Long streams carry keep-alive messages. */
export const IDLE_TIMEOUT_MS = 610_000;

/** What a proxy may send again by itself. Source: RFC 9110 §9.2.2. */
const IDEMPOTENT: ReadonlySet<string> = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "PUT"]);

/** What to ask of which guest. */
export interface Plan {
	readonly sandboxId: string;
	readonly port: number;
	/** Origin form. */
	readonly path: string;
	readonly authority: string;
	readonly maskedHost: string | undefined;
}

export class Exchange implements Flow {
	readonly #req: ClientRequest;
	readonly #res: ClientResponse;
	readonly #guest: Guest;
	readonly #plan: Plan;
	#upstream: GuestRequest | undefined;
	#stopUpload: () => void = () => {};
	/** No other outcome can come. */
	#settled = false;
	/** The guest's answer has come to its end. */
	#answered = false;

	constructor(req: ClientRequest, res: ClientResponse, guest: Guest, plan: Plan) {
		this.#req = req;
		this.#res = res;
		this.#guest = guest;
		this.#plan = plan;
	}

	start(): void {
		this.#guest.add(this);
		this.#res.once("close", () => this.#leave());
		// A broken client connection shows as "close" too; without a listener it would end the process.
		this.#res.on("error", () => {});
		this.#req.on("error", () => {});
		try {
			this.#send();
		} catch {
			// Node refuses to send some request targets that it accepts from a client.
			this.#answer(invalidTarget("Invalid request target"));
		}
	}

	end(answer: Answer): void {
		if (this.#settled) return;
		if (this.#res.headersSent) this.#cut();
		else this.#answer(answer);
	}

	#send(): void {
		const upstream = request({
			agent: this.#guest.agent,
			host: this.#guest.key.address,
			port: this.#plan.port,
			method: this.#req.method,
			path: this.#plan.path,
			headers: requestHeaders(this.#req, this.#plan),
			timeout: IDLE_TIMEOUT_MS,
		});
		this.#upstream = upstream;
		upstream.on("continue", () => this.#res.writeContinue());
		upstream.on("response", (response) => this.#onResponse(response));
		upstream.on("timeout", () => this.#onTimeout());
		upstream.on("error", () => this.#onError(upstream));
		if (hasBody(this.#req)) this.#stopUpload = relayRequestBody(this.#req, upstream);
		else upstream.end();
	}

	#onResponse(response: IncomingMessage): void {
		if (this.#settled) return;
		response.on("error", () => {});
		response.once("close", () => {
			if (!response.complete) this.#cut();
		});
		response.once("end", () => {
			this.#settled = true;
			this.#answered = true;
		});
		try {
			relayResponse(response, this.#res);
		} catch {
			this.#answer(portClosed(this.#plan.sandboxId, this.#plan.port));
		}
	}

	#onError(upstream: GuestRequest): void {
		if (this.#settled || upstream !== this.#upstream) return;
		if (this.#res.headersSent) this.#cut();
		// Most likely the guest closed it just as it was used again; if not, asking twice does no harm.
		else if (upstream.reusedSocket && !hasBody(this.#req) && IDEMPOTENT.has(this.#req.method ?? "")) this.#send();
		else this.#answer(portClosed(this.#plan.sandboxId, this.#plan.port));
	}

	#onTimeout(): void {
		if (this.#settled) return;
		if (this.#res.headersSent) this.#cut();
		else this.#answer(noAnswerInTime(this.#plan.sandboxId, this.#plan.port, IDLE_TIMEOUT_MS / 1000));
	}

	#answer(answer: Answer): void {
		this.#settle();
		sendAnswer(this.#req, this.#res, answer);
	}

	#cut(): void {
		if (this.#settled) return;
		this.#settle();
		dropResponse(this.#req, this.#res);
	}

	#settle(): void {
		this.#settled = true;
		this.#stopUpload();
		this.#upstream?.destroy();
	}

	/** The client has its answer, or has left before. */
	#leave(): void {
		this.#guest.remove(this);
		const finished = this.#answered && this.#upstream?.writableFinished === true;
		this.#settled = true;
		if (finished) return;
		this.#stopUpload();
		this.#upstream?.destroy();
	}
}
