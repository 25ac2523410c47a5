/**
 * Work that must happen in the end but whose failure must not fail what it belongs to: removing a container or an
 * artifact that nothing refers to any more. What is still undone when the server ends is found again at the next start,
 * because then no row refers to it.
 */
import { type Clock, sleep } from "./clock.ts";
import type { Logger } from "./log.ts";
import type { Operation } from "./operations.ts";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 60_000;

export class Chores {
	readonly #clock: Clock;
	readonly #log: Logger;
	readonly #signal: AbortSignal;
	readonly #background = new Set<Promise<void>>();

	constructor(options: { readonly clock: Clock; readonly log: Logger; readonly signal: AbortSignal }) {
		this.#clock = options.clock;
		this.#log = options.log;
		this.#signal = options.signal;
	}

	/** Tries once; on failure goes on trying in the background. Never rejects. */
	async attempt(what: string, run: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
		if (!(await this.#tried(what, run))) this.inBackground(this.#retry(what, run));
	}

	/**
	 * The same for work that `operation` must not be released without.
	 * @returns after the first try
	 */
	async repair(operation: Operation, what: string, run: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
		if (await this.#tried(what, run)) return;
		const done = this.#retry(what, run);
		operation.holdUntil(done);
		this.inBackground(done);
	}

	/** Lets `close` wait for the work. */
	inBackground(work: Promise<void>): void {
		const tracked = work
			.catch((error: unknown) => this.#log.error({ err: error }, "background work failed"))
			.finally(() => this.#background.delete(tracked));
		this.#background.add(tracked);
	}

	/** Resolves when no background work is left. */
	async idle(): Promise<void> {
		while (this.#background.size > 0) await Promise.all(this.#background);
	}

	async #tried(what: string, run: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> {
		try {
			await run(this.#signal);
			return true;
		} catch (error) {
			if (!this.#signal.aborted) this.#log.warn({ err: error }, `failed to ${what}; trying again later`);
			return false;
		}
	}

	async #retry(what: string, run: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
		for (let delay = FIRST_RETRY_MS; !this.#signal.aborted; delay = Math.min(2 * delay, LAST_RETRY_MS)) {
			await sleep(this.#clock, delay, this.#signal).catch(() => undefined);
			if (this.#signal.aborted || (await this.#tried(what, run))) return;
		}
	}
}
