/** How many sandboxes a team may run at a time. A place is taken before the row exists, so a burst can't overshoot. */
import { OffshootError } from "../protocol/index.ts";
import type { Ledger } from "./ledger.ts";

export class Quota {
	readonly #ledger: Ledger;
	readonly #maxConcurrent: number;
	readonly #reserved = new Map<string, number>();

	constructor(ledger: Ledger, maxConcurrent: number) {
		this.#ledger = ledger;
		this.#maxConcurrent = maxConcurrent;
	}

	/**
	 * Holds a place for the team while `work` brings a sandbox into the ledger in a state that counts.
	 * @throws OffshootError too_many
	 */
	async within<T>(teamId: string, work: () => Promise<T>): Promise<T> {
		const reserved = this.#reserved.get(teamId) ?? 0;
		if (this.#active(teamId) + reserved >= this.#maxConcurrent) throw this.#exceeded();
		this.#reserved.set(teamId, reserved + 1);
		try {
			return await work();
		} finally {
			this.#reserved.set(teamId, (this.#reserved.get(teamId) ?? 1) - 1);
		}
	}

	#active(teamId: string): number {
		let active = 0;
		for (const record of this.#ledger.all()) {
			if (record.teamId === teamId && record.state !== "paused") active++;
		}
		return active;
	}

	#exceeded(): OffshootError {
		return new OffshootError(
			"too_many",
			`Sandbox limit reached: ${this.#maxConcurrent} sandboxes of this team run already; kill or pause one first`,
			{ errorCode: "sandbox_concurrency_limit" },
		);
	}
}
