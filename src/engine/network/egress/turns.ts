/** Lets only so many pieces of work of one owner happen at a time; the others wait, in the order in which they came. */
export class Turns {
	readonly #limit: number;
	readonly #owners = new Map<string, { running: number; readonly waiting: (() => void)[] }>();

	/** @param limit pieces of work of one owner at a time */
	constructor(limit: number) {
		this.#limit = limit;
	}

	async take<T>(owner: string, work: () => Promise<T>): Promise<T> {
		const state = this.#owners.get(owner) ?? { running: 0, waiting: [] };
		this.#owners.set(owner, state);
		if (state.running >= this.#limit) await new Promise<void>((resolve) => state.waiting.push(resolve));
		else state.running++;
		try {
			return await work();
		} finally {
			const next = state.waiting.shift();
			// A turn is handed on as it is, so that nobody can come in between.
			if (next !== undefined) next();
			else if (--state.running === 0) this.#owners.delete(owner);
		}
	}
}
