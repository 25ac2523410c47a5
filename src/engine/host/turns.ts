/** Lets only so many pieces of work of one owner happen at a time; the others wait, in the order in which they came. */
export class Turns {
	readonly #limit: number;
	readonly #owners = new Map<string, { running: number; readonly waiting: Set<() => void> }>();

	/** @param limit pieces of work of one owner at a time */
	constructor(limit: number) {
		this.#limit = limit;
	}

	/**
	 * @param signal ends the waiting, not the work: who left holds no place in the queue
	 * @throws the signal's reason, or what the work throws
	 */
	async take<T>(owner: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
		signal.throwIfAborted();
		const state = this.#owners.get(owner) ?? { running: 0, waiting: new Set() };
		this.#owners.set(owner, state);
		if (state.running >= this.#limit) await queued(state.waiting, signal);
		else state.running++;
		try {
			return await work();
		} finally {
			const [next] = state.waiting;
			// A turn is handed on as it is, so that nobody can come in between.
			if (next !== undefined) next();
			else if (--state.running === 0) this.#owners.delete(owner);
		}
	}
}

function queued(waiting: Set<() => void>, signal: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		const leave = () => {
			waiting.delete(begin);
			reject(signal.reason);
		};
		const begin = () => {
			waiting.delete(begin);
			signal.removeEventListener("abort", leave);
			resolve();
		};
		waiting.add(begin);
		signal.addEventListener("abort", leave, { once: true });
	});
}
