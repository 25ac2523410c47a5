/**
 * What every request to a guest has in common, when the client is to get an ordinary answer. Guarantees exactly one
 * outcome for the client: the guest's whole answer, an answer of the edge (only before the guest's headers were passed
 * on), or a dropped connection or stream; and that the guest learns when the client has left.
 */
import type { ClientRequest as GuestRequest, IncomingMessage } from "node:http";
import { type Answer, invalidTarget, portClosed, sendAnswer } from "./answers.ts";
import { type ClientRequest, type ClientResponse, dropResponse } from "./client.ts";
import type { Flow, Guest } from "./guests.ts";
import { relayResponse } from "./relay.ts";

/** How long a connection may be silent in both directions, ms. Long streams carry keep-alive messages. */
export const IDLE_TIMEOUT_MS = 610_000;

/** What to ask of which guest. */
export interface Plan {
	readonly sandboxId: string;
	readonly port: number;
	/** Origin form. */
	readonly path: string;
	readonly authority: string;
	readonly maskedHost: string | undefined;
}

export abstract class Asking<Req extends ClientRequest, Res extends ClientResponse> implements Flow {
	protected readonly req: Req;
	protected readonly res: Res;
	protected readonly guest: Guest;
	protected readonly plan: Plan;
	protected upstream: GuestRequest | undefined;
	/** No other outcome can come. */
	protected settled = false;
	/** The guest's answer has come to its end. */
	#answered = false;
	readonly #abandon = new AbortController();

	constructor(req: Req, res: Res, guest: Guest, plan: Plan) {
		this.req = req;
		this.res = res;
		this.guest = guest;
		this.plan = plan;
	}

	/** Sends the request. @throws when Node cannot send such a one */
	protected abstract send(): void;

	/** Ends what `send` has begun, except for the guest's connection. */
	protected abstract release(): void;

	/** Aborted when no answer of the guest is waited for any more. */
	protected get abandoned(): AbortSignal {
		return this.#abandon.signal;
	}

	start(): void {
		this.guest.add(this);
		this.res.once("close", () => this.#leave());
		// A broken client connection shows as "close" too; without a listener it would end the process.
		this.res.on("error", () => {});
		this.req.on("error", () => {});
		try {
			this.send();
		} catch {
			// Node refuses to send some request targets that it accepts from a client.
			this.answer(invalidTarget("Invalid request target"));
		}
	}

	end(answer: Answer): void {
		this.answer(answer);
	}

	/** Passes the guest's answer on. */
	protected passOn(response: IncomingMessage): void {
		if (this.settled) return;
		response.on("error", () => {});
		response.once("close", () => {
			if (!response.complete) this.cut();
		});
		response.once("end", () => {
			this.settled = true;
			this.#answered = true;
		});
		try {
			relayResponse(response, this.res);
		} catch {
			this.answerClosed();
		}
	}

	/** Answers in the guest's place; what was begun already is cut. */
	protected answer(answer: Answer): void {
		if (this.settled) return;
		if (this.res.headersSent) {
			this.cut();
			return;
		}
		this.#settle();
		sendAnswer(this.req, this.res, answer);
	}

	protected answerClosed(): void {
		this.answer(portClosed(this.plan.sandboxId, this.plan.port));
	}

	protected cut(): void {
		if (this.settled) return;
		this.#settle();
		dropResponse(this.req, this.res);
	}

	#settle(): void {
		this.settled = true;
		this.release();
		this.#abandon.abort();
		this.upstream?.destroy();
	}

	/** The client has its answer, or has left before. */
	#leave(): void {
		this.guest.remove(this);
		const finished = this.#answered && this.upstream?.writableFinished === true;
		// A connection on which all is said and done serves the next request.
		if (finished) this.settled = true;
		else this.#settle();
	}
}
