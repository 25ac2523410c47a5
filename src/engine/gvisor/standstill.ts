import { setTimeout as sleep } from "node:timers/promises";
import { CommandError } from "../command.ts";
import { Turns } from "../host/turns.ts";
import { StuckError } from "../types.ts";
import type { Runsc } from "./runsc.ts";

/**
 * Stops containers and lets them run again. Guarantees: what stops a container, or needs it as it is, goes one at a
 * time; a stop that failed, or that nobody waits for any more, is undone; where that fails too, a StuckError says so.
 *
 * A guest counts its stops from the moment it is asked, and goes on stopping when runsc, which asked, is killed. So no
 * command here heeds a caller's signal: one that was cut off would leave a guest that stands still in no record.
 */
export interface StandstillOptions {
	readonly runsc: Pick<Runsc, "call">;
	/** Undoes one stop in the guest itself, of which runsc knows nothing. One too many ends the sandbox. */
	readonly endStop: (id: string, signal: AbortSignal) => Promise<void>;
	/** ms; a guest stops when each of its threads has ended its system call, which takes long while it forks without end. */
	readonly stopTimeoutMs: number;
}

const RESUME_TIMEOUT_MS = 10_000;
/** Long, since a container is lost whose stop could not be undone: an engine that is only held up answers in the end. */
const UNDO_TIMEOUT_MS = 60_000;
const RESUME_TRIES = 3;
const RETRY_MS = 200;

export class Standstill {
	readonly #options: StandstillOptions;
	readonly #turns = new Turns(1);

	constructor(options: StandstillOptions) {
		this.#options = options;
	}

	/** Work for which nothing else may stop the container. @param signal ends the waiting for it */
	during<T>(id: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
		return this.#turns.take(id, signal, work);
	}

	/** @throws StuckError; the signal's reason when that was aborted before the container stood still: it runs then */
	pause(id: string, signal: AbortSignal): Promise<void> {
		return this.#turns.take(id, signal, async () => {
			await this.#stop(id);
			if (!signal.aborted) return;
			await this.#letRun(id);
			signal.throwIfAborted();
		});
	}

	resume(id: string, signal: AbortSignal): Promise<void> {
		return this.#turns.take(id, signal, () => this.#letRun(id));
	}

	/** See `SandboxEngine.whileStill`. */
	whileStill<T>(id: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
		return this.#turns.take(id, signal, async () => {
			if (!(await this.#stopUnlessPaused(id))) return work();
			const outcome = await work().then(
				(result) => ({ result }),
				(error: unknown) => ({ error }),
			);
			await this.#letRun(id).catch((failure: unknown) => {
				throw new StuckError(id, "error" in outcome ? [outcome.error, failure] : [failure]);
			});
			if ("error" in outcome) throw outcome.error;
			return outcome.result;
		});
	}

	/** @returns false when it was paused before */
	async #stopUnlessPaused(id: string): Promise<boolean> {
		try {
			await this.#stop(id);
			return true;
		} catch (error) {
			if (isIn("paused", error)) return false;
			throw error;
		}
	}

	async #stop(id: string): Promise<void> {
		const limit = AbortSignal.timeout(this.#options.stopTimeoutMs);
		try {
			await this.#options.runsc.call(["pause", id], limit);
		} catch (error) {
			if (limit.aborted) await this.#undoStop(id, error);
			throw error;
		}
	}

	/** After runsc was killed: by its record, if it came to write that down, or else in the guest. */
	async #undoStop(id: string, cause: unknown): Promise<void> {
		const limit = AbortSignal.timeout(UNDO_TIMEOUT_MS);
		try {
			await this.#options.runsc.call(["resume", id], limit);
		} catch (error) {
			if (!isIn("running", error)) throw new StuckError(id, [cause, error]);
			await this.#options.endStop(id, limit).catch((failure: unknown) => {
				throw new StuckError(id, [cause, failure]);
			});
		}
	}

	/** No error when it runs already. */
	async #letRun(id: string): Promise<void> {
		for (let tries = 1; ; tries++) {
			try {
				await this.#options.runsc.call(["resume", id], AbortSignal.timeout(RESUME_TIMEOUT_MS));
				return;
			} catch (error) {
				if (isIn("running", error)) return;
				if (tries === RESUME_TRIES) throw error;
				await sleep(RETRY_MS);
			}
		}
	}
}

/** runsc refuses to stop what stands still, and to let run what runs. */
function isIn(state: "running" | "paused", error: unknown): boolean {
	return error instanceof CommandError && error.stderr.toLowerCase().includes(`in state ${state}`);
}
