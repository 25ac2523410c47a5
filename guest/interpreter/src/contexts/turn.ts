import { abortable } from "../abortable.ts";

/** One at a time, in the order of asking. */
export class Turn {
	#last: Promise<void> = Promise.resolve();

	/** Resolves with the function that passes the turn on. Rejects when `signal` is aborted first; the turn then goes on. */
	async take(signal: AbortSignal): Promise<() => void> {
		const before = this.#last;
		const { promise, resolve: pass } = Promise.withResolvers<void>();
		this.#last = promise;
		try {
			await abortable(before, signal);
			return pass;
		} catch (error) {
			void before.then(pass);
			throw error;
		}
	}
}
