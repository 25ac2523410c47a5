/**
 * Who is talking to which incarnation of a sandbox right now. Guarantees that a flow which entered hears of the end of
 * its guest exactly once, and that no flow enters after that end, even when it was admitted a moment before.
 */
import { type Answer, sandboxNotFound, shuttingDown } from "./answers.ts";
import { GuestAgent } from "./dial.ts";

/** One request or tunnel on its way through the edge. */
export interface Flow {
	/**
	 * The guest is not reachable any more: end the client's side the way clients understand.
	 * @param answer for a client that has been told nothing yet
	 */
	end(answer: Answer): void;
}

export interface GuestKey {
	readonly sandboxId: string;
	readonly incarnation: number;
	readonly address: string;
	readonly httpsPorts?: readonly number[];
}

export class Guest {
	readonly key: GuestKey;
	readonly agent: GuestAgent;
	readonly #flows = new Set<Flow>();

	constructor(key: GuestKey) {
		this.key = key;
		this.agent = new GuestAgent(key.address, key.httpsPorts ?? []);
	}

	get flowCount(): number {
		return this.#flows.size;
	}

	add(flow: Flow): void {
		this.#flows.add(flow);
	}

	remove(flow: Flow): void {
		this.#flows.delete(flow);
	}

	end(answer: Answer): void {
		const flows = [...this.#flows];
		this.#flows.clear();
		// Flows first: a destroyed connection would look to them like a guest that died by itself.
		for (const flow of flows) flow.end(answer);
		this.agent.destroy();
	}
}

/** Ids are never used twice, so an old entry is of use only while a request admitted before it may still come in. */
const REMEMBERED_ENDS = 10_000;

export class Guests {
	readonly #guests = new Map<string, Guest>();
	/** Last incarnation known to be gone, by sandbox. */
	readonly #ended = new Map<string, number>();

	/** The guest to talk to; undefined when this incarnation is gone already. */
	find(key: GuestKey): Guest | undefined {
		if ((this.#ended.get(key.sandboxId) ?? -1) >= key.incarnation) return undefined;
		const current = this.#guests.get(key.sandboxId);
		if (current?.key.incarnation === key.incarnation) return current;
		current?.end(sandboxNotFound(key.sandboxId));
		const guest = new Guest(key);
		this.#guests.set(key.sandboxId, guest);
		return guest;
	}

	gone(sandboxId: string, incarnation: number): void {
		this.#ended.delete(sandboxId);
		this.#ended.set(sandboxId, incarnation);
		this.#forgetOldest();
		const guest = this.#guests.get(sandboxId);
		if (guest === undefined || guest.key.incarnation > incarnation) return;
		this.#guests.delete(sandboxId);
		guest.end(sandboxNotFound(sandboxId));
	}

	/** Ends every flow because the server stops; the sandboxes live on. */
	endAll(): void {
		for (const [sandboxId, guest] of this.#guests) guest.end(shuttingDown(sandboxId));
		this.#guests.clear();
	}

	#forgetOldest(): void {
		if (this.#ended.size <= REMEMBERED_ENDS) return;
		for (const oldest of this.#ended.keys()) {
			this.#ended.delete(oldest);
			return;
		}
	}
}
