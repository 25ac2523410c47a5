import type { Clock } from "../clock.ts";

/** Time that stands still until a test moves it. */
export class ManualClock implements Clock {
	#now = Date.UTC(2026, 0, 1);
	readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();

	now(): number {
		return this.#now;
	}

	schedule(delayMs: number, run: () => void): () => void {
		const timer = { at: this.#now + delayMs, run };
		this.#timers.add(timer);
		return () => this.#timers.delete(timer);
	}

	/** Runs every timer that becomes due, in order. */
	advance(ms: number): void {
		const until = this.#now + ms;
		for (;;) {
			const [next] = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
			if (!next) break;
			this.#timers.delete(next);
			this.#now = Math.max(this.#now, next.at);
			next.run();
		}
		this.#now = until;
	}
}
