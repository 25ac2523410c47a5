import type { GuestPrograms } from "../../engine/index.ts";

/**
 * Tells a fork bomb from programs that are merely many. At the guest's limit a fork fails, which is all that happens to
 * programs that heed it; a bomb goes on trying.
 */
const FULL_SHARE = 0.9;
/** So long must there be no room. */
const PATIENCE_MS = 3_000;
/** So many forks must fail meanwhile: a shell waits longer from one try to the next, a pool of threads tries once. */
const MANY_REFUSED = 16;

export function isFull({ count, max }: GuestPrograms): boolean {
	return count >= FULL_SHARE * max;
}

/** What was seen of one guest. Pure: the caller tells the time. */
export class ForkWatch {
	#full: { readonly since: number; readonly refused: number } | undefined;

	/** @param now ms @returns true when something forks without end */
	sees(programs: GuestPrograms, now: number): boolean {
		if (!isFull(programs)) {
			this.#full = undefined;
			return false;
		}
		this.#full ??= { since: now, refused: programs.refused };
		return now - this.#full.since >= PATIENCE_MS && programs.refused - this.#full.refused >= MANY_REFUSED;
	}
}
