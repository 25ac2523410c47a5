import type { Logger } from "pino";
import { AnswerTooLongError, type ContainerLimits, type SandboxEngine } from "../../engine/index.ts";
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

/** Why everything ends, in the words of the sandbox's log. */
export interface Reason {
	/** What there is too much of. */
	readonly what: string;
	/** Why no less than everything would do. */
	readonly since: string;
}

/** They are of many groups, or of one that a service is in. */
export const NO_GROUP = "no one process group is to blame";
/** They have so many arguments, descriptors or mappings that nobody reads which of them is to blame. */
export const UNREADABLE = "they are too much to read through";

/** The last resort, for what cannot be told from what else runs: all that users started. The guest's services live on. */
export async function endEverything(relief: Relief, { what, since }: Reason, signal: AbortSignal): Promise<void> {
	const { limits, record, log, tell } = relief;
	await limits.killPrograms(record.containerId, deadline(signal));
	log.warn({ sandboxId: record.sandboxId, reason: what, since }, "killed all programs of the sandbox");
	tell(`${what}: killed all programs of the sandbox, since ${since}`);
}

/** What a guest answers; undefined when it is so much that nobody reads it. */
export async function readable<T>(answer: Promise<T>): Promise<T | undefined> {
	return answer.catch((error: unknown) => {
		if (error instanceof AnswerTooLongError) return undefined;
		throw error;
	});
}

const ANSWER_TIMEOUT_MS = 5_000;

/** For one question to a guest. */
export function deadline(signal: AbortSignal): AbortSignal {
	return AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
}
