/** So many pieces of work of one owner at a time; more are refused at once, not queued. */
export class Places {
	readonly #limit: number;
	readonly #taken = new Map<string, number>();

	constructor(limit: number) {
		this.#limit = limit;
	}

	/** @throws Error when all places of the owner are taken, or what the work throws */
	async hold<T>(owner: string, work: () => Promise<T>): Promise<T> {
		const taken = this.#taken.get(owner) ?? 0;
		if (taken >= this.#limit) throw new Error(`${owner} has ${taken} under way`);
		this.#taken.set(owner, taken + 1);
		try {
			return await work();
		} finally {
			this.#leave(owner);
		}
	}

	#leave(owner: string): void {
		const left = (this.#taken.get(owner) ?? 0) - 1;
		if (left > 0) this.#taken.set(owner, left);
		else this.#taken.delete(owner);
	}
}
