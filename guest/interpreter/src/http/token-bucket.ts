/** Lets through `capacity` requests at once and `perSecond` in the long run. */
export class TokenBucket {
	readonly #capacity: number;
	readonly #perSecond: number;
	#tokens: number;
	#filledAt = performance.now();

	constructor(options: { readonly capacity: number; readonly perSecond: number }) {
		this.#capacity = options.capacity;
		this.#perSecond = options.perSecond;
		this.#tokens = options.capacity;
	}

	/** True if the request may pass. */
	take(): boolean {
		const now = performance.now();
		this.#tokens = Math.min(this.#capacity, this.#tokens + ((now - this.#filledAt) / 1_000) * this.#perSecond);
		this.#filledAt = now;
		if (this.#tokens < 1) return false;
		this.#tokens -= 1;
		return true;
	}
}
