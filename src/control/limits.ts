/** What a team may have: its own limits, and the server's where it has none. */
import type { Fleet } from "../fleet/index.ts";

export interface Limits {
	/** Longest time between the start of a sandbox and its end, s. */
	readonly maxTimeoutSeconds: number;
	/** Sandboxes of one team that may run at a time. */
	readonly maxConcurrent: number;
}

/** Asks the database each time: the operator's command line changes it beside a running server. */
export class TeamLimits {
	readonly #teams: Pick<Fleet["teams"], "get">;
	readonly #defaults: Limits;

	constructor(teams: Pick<Fleet["teams"], "get">, defaults: Limits) {
		this.#teams = teams;
		this.#defaults = defaults;
	}

	async of(teamId: string): Promise<Limits> {
		const own = (await this.#teams.get(teamId))?.limits;
		return {
			maxTimeoutSeconds: own?.maxTimeoutSeconds ?? this.#defaults.maxTimeoutSeconds,
			maxConcurrent: own?.maxSandboxes ?? this.#defaults.maxConcurrent,
		};
	}
}
