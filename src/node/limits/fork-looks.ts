import { isCrowded, tasksBound } from "./bounds.ts";
import { ForkWatch } from "./forks.ts";
import { deadline, type Relief } from "./relief.ts";

const FORKS_EVERY_MS = 1_000;

/** The looks at one guest's number of processes: cheap as long as it has few, and then not more than one a second. */
export class ForkLooks {
	readonly #relief: Relief;
	readonly #watch = new ForkWatch();
	#nextAt = 0;

	constructor(relief: Relief) {
		this.#relief = relief;
	}

	get crowded(): boolean {
		const { limits, record } = this.#relief;
		const usage = limits.usage(record.containerId);
		return usage !== undefined && isCrowded(usage);
	}

	/** True when processes must end: they go on forking at their limit, or the host's is near. */
	async withoutEnd(signal: AbortSignal): Promise<boolean> {
		const { limits, record, isLeftAlone } = this.#relief;
		if (!this.crowded) this.#watch.forget();
		if (isLeftAlone() || !this.crowded || Date.now() < this.#nextAt) return false;
		this.#nextAt = Date.now() + FORKS_EVERY_MS;
		if ((limits.usage(record.containerId)?.tasks ?? 0) > tasksBound(limits.maxTasks)) return true;
		// One too busy to answer is stopped, and then asked again before anything ends in it.
		const programs = await limits.programs(record.containerId, deadline(signal)).catch(() => "no answer" as const);
		signal.throwIfAborted();
		if (programs === "no answer") return true;
		return programs !== undefined && this.#watch.sees(programs, Date.now());
	}
}
