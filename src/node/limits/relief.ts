import type { Logger } from "pino";
import type { ContainerLimits, SandboxEngine } from "../../engine/index.ts";
import type { ContainerRecord } from "../records.ts";

/** What the ways of relieving a guest share. */
export interface Relief {
	readonly engine: Pick<SandboxEngine, "whileStill" | "resume">;
	readonly limits: ContainerLimits;
	readonly record: ContainerRecord;
	readonly log: Logger;
	/**
	 * True while the guest stands still for a pause or an image of it is being written. What is ended in it stays until
	 * that is over, so waiting for it tells nothing; and nothing may end the sandbox meanwhile, whose capture would be lost.
	 */
	readonly isLeftAlone: () => boolean;
	/** Given a sentence for the sandbox's user about each thing that was ended. */
	readonly tell: (what: string) => void;
}

/** `untouched`: it is to be left alone, before anybody could tell whether what was ended in it has helped. */
export type Relieved = "relieved" | "hopeless" | "untouched";

/** The last resort, for what cannot be told from what else runs: all that users started. The guest's services live on. */
export async function endEverything(relief: Relief, reason: string, signal: AbortSignal): Promise<void> {
	const { limits, record, log, tell } = relief;
	await limits.killPrograms(record.containerId, deadline(signal));
	log.warn({ sandboxId: record.sandboxId, reason }, "killed all programs of the sandbox");
	tell(`${reason}: killed all programs of the sandbox, since too many processes in too many process groups had a part in it`);
}

const ANSWER_TIMEOUT_MS = 5_000;

/** For one question to a guest. */
export function deadline(signal: AbortSignal): AbortSignal {
	return AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
}
