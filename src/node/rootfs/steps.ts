/**
 * A named step of a build: says when it starts and how long it took, tries again when the network failed, and turns a
 * failure into an error that names the step and shows the program's last words.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CommandError } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";

export type Progress = (line: string) => void;

const RETRY_AFTER_MS = [2_000, 10_000];

/** What apt, pip, npm and their libraries print when the network, and not the request, is at fault. */
const TRANSIENT =
	/temporary failure|could not resolve|timed? ?out|connection (reset|refused|failed|aborted|broken)|hash sum mismatch|unexpected (eof|size)|network is unreachable|incomplete ?read|read error|\b(429|500|502|503|504)\b|ECONNRE|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|ENETUNREACH/i;

export interface Step<T> {
	/** Shown to the user, e.g. "base: install Debian packages". */
	readonly name: string;
	/** Must be repeatable: what a failed attempt left behind is found by the next one. */
	readonly attempt: () => Promise<T>;
	readonly onProgress: Progress;
	readonly signal: AbortSignal;
	/** Waiting times before further attempts, ms; for tests. */
	readonly retryAfterMs?: readonly number[];
}

/** Runs a step. Throws OffshootError (or the signal's reason) when it failed for good. */
export async function runStep<T>(step: Step<T>): Promise<T> {
	const started = performance.now();
	step.onProgress(`${step.name} …`);
	const pauses = [...(step.retryAfterMs ?? RETRY_AFTER_MS)];
	for (;;) {
		try {
			const result = await step.attempt();
			step.onProgress(`${step.name}: done in ${((performance.now() - started) / 1000).toFixed(1)} s`);
			return result;
		} catch (error) {
			step.signal.throwIfAborted();
			const pause = isTransient(error) ? pauses.shift() : undefined;
			if (pause === undefined) throw stepFailed(step.name, error);
			step.onProgress(`${step.name}: the network failed (${lastWords(error)}); trying again in ${pause / 1000} s`);
			await sleep(pause, undefined, { signal: step.signal });
		}
	}
}

function isTransient(error: unknown): boolean {
	return error instanceof CommandError && tailOf(error).some((line) => TRANSIENT.test(line));
}

function lastWords(error: unknown): string {
	if (!(error instanceof CommandError)) return String(error);
	return (tailOf(error).findLast((line) => TRANSIENT.test(line)) ?? error.message).trim();
}

/** The last lines of a program's output. */
function tailOf(error: CommandError): readonly string[] {
	return error.stderr === "" ? [] : error.stderr.split("\n");
}

function stepFailed(name: string, error: unknown): OffshootError {
	if (error instanceof OffshootError) return error;
	const message = error instanceof Error ? error.message.replaceAll("\n", "\n    ") : String(error);
	return new OffshootError("internal", `Step "${name}" failed: ${message}\n${advice(error)}`, { cause: error });
}

function advice(error: unknown): string {
	const text = String(error);
	if (/no space left/i.test(text)) return "Free some disk space, then start again.";
	if (/NO_PUBKEY|signature|not signed/i.test(text)) {
		return "This machine's Debian keys are too old or missing: update the package debian-archive-keyring, then start again.";
	}
	if (isTransient(error)) return "Check the network, proxy and certificate settings of this machine, then start again.";
	if (/failed to execute|not found/.test(text)) {
		return "A program is missing on this machine: run `./offshoot doctor --fix`, then start again.";
	}
	return "Fix what the lines above say, then start again: steps that were completed are kept.";
}
