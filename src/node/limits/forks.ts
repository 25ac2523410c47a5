import type { GuestPrograms } from "../../engine/index.ts";

/**
 * Tells a fork bomb from programs that are merely many. At the guest's limit a fork fails, which is all that happens to
 * programs that heed it; a bomb goes on trying.
 */
const FULL_SHARE = 0.9;
/** So long is looked at a time. */
const WINDOW_MS = 3_000;
/**
 * So many forks must fail in it: a shell waits longer from one try to the next, a pool of threads tries once. What is
 * full for days and is refused something now and then never comes to that.
 */
const MANY_REFUSED = 16;

export function isFull({ count, max }: GuestPrograms): boolean {
	return count >= FULL_SHARE * max;
}

/** What was seen of one guest. Pure: the caller tells the time. */
export class ForkWatch {
	#window: { readonly since: number; readonly refused: number } | undefined;

	/** @param now ms @returns true when something forks without end */
	sees(programs: GuestPrograms, now: number): boolean {
		if (!isFull(programs)) {
			this.forget();
			return false;
		}
		this.#window ??= { since: now, refused: programs.refused };
		const { since, refused } = this.#window;
		const elapsed = now - since;
		if (elapsed < WINDOW_MS) return false;
		// A look that comes late has seen more refusals, which are no higher a rate.
		const isMany = programs.refused - refused >= (MANY_REFUSED * elapsed) / WINDOW_MS;
		// Whoever could not end it at the first try finds it still a bomb.
		if (!isMany) this.#window = { since: now, refused: programs.refused };
		return isMany;
	}

	/** To be called when the guest was not looked at, so that nobody knows whether it was full all the time. */
	forget(): void {
		this.#window = undefined;
	}
}
