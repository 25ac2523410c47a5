import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { ContainerLimits, Engines } from "../../engine/index.ts";
import type { ContainerRecord, Records } from "../records.ts";
import { memoryBound, needsExactFigure, nextLook, tasksBound } from "./bounds.ts";
import { type Relief, relieveMemory, relieveTasks } from "./relief.ts";

/**
 * Holds every ready container to its memory and its number of processes. gVisor has no OOM killer of its own, and the
 * host's would end the whole sandbox; so usage is looked at from outside, the more often the nearer it is to its
 * bound, and the guest's largest process ends first.
 */
export interface LimitsWatchOptions {
	readonly records: Records;
	readonly engines: Engines;
	readonly log: Logger;
	/** True for a container that stands still for a pause: nothing can be ended in it, and that is no reason to give it up. */
	readonly isFrozen: (containerId: string) => boolean;
	/** A container that stays above its bounds whatever is ended in it. */
	readonly onHopeless: (record: ContainerRecord, reason: string) => void;
	/** Something in it was ended so that the rest can live: a sentence for the sandbox's log. */
	readonly onEnded: (record: ContainerRecord, what: string) => void;
}

const SCAN_MS = 250;

/** @returns stops the watch; it has no effect on containers */
export function watchLimits(options: LimitsWatchOptions): () => void {
	const guarded = new Map<string, AbortController>();
	const scan = () => {
		const ready = options.records.all().filter((record) => record.phase === "ready");
		const present = new Set(ready.map((record) => record.containerId));
		for (const [id, stop] of guarded) {
			if (present.has(id)) continue;
			stop.abort();
			guarded.delete(id);
		}
		for (const record of ready) {
			if (guarded.has(record.containerId)) continue;
			const stop = new AbortController();
			guarded.set(record.containerId, stop);
			guard(options, record, stop.signal).catch((error) => {
				if (stop.signal.aborted) return;
				options.log.error({ err: error, sandboxId: record.sandboxId }, "watching the limits of a sandbox failed; trying again");
				guarded.delete(record.containerId);
			});
		}
	};
	const timer = setInterval(scan, SCAN_MS);
	return () => {
		clearInterval(timer);
		for (const stop of guarded.values()) stop.abort();
	};
}

/** Ends with the container, or when it was given up. @throws what makes watching it impossible */
async function guard(options: LimitsWatchOptions, record: ContainerRecord, signal: AbortSignal): Promise<void> {
	const { engines, log, isFrozen, onHopeless, onEnded } = options;
	const { limits } = await engines.open(record.engine);
	if (limits === undefined) return;
	const relief = { limits, record, log, tell: (what: string) => onEnded(record, what) };
	let failures = 0;
	while (!signal.aborted) {
		const outcome = isFrozen(record.containerId) ? UNTOUCHED : await look(relief, signal);
		failures = outcome.failed ? failures + 1 : 0;
		if (outcome.hopeless !== undefined) return onHopeless(record, outcome.hopeless);
		if (failures >= MAX_FAILURES) return onHopeless(record, outOfMemory(record));
		const usedBytes = usedNow(limits, record);
		if (usedBytes === undefined) return;
		await sleep(outcome.failed ? RETRY_MS : nextLook(usedBytes, record.resources), undefined, { signal });
	}
}

/** A sandbox above its bounds that cannot even be spoken to so often is beyond help. */
const MAX_FAILURES = 3;
const RETRY_MS = 250;

interface Outcome {
	/** Why the sandbox cannot go on. */
	readonly hopeless?: string;
	/** It is above its bounds and did not answer. */
	readonly failed: boolean;
}

const UNTOUCHED: Outcome = { failed: false };

async function look(relief: Relief, signal: AbortSignal): Promise<Outcome> {
	const { limits, record, log } = relief;
	try {
		const tasks = limits.usage(record.containerId)?.tasks ?? 0;
		if (tasks > tasksBound(limits.maxTasks) && !(await relieveTasks(relief, signal)))
			return { hopeless: TOO_MANY_PROCESSES, failed: false };
		if (isAboveMemory(limits, record) && !(await relieveMemory(relief, signal)))
			return { hopeless: outOfMemory(record), failed: false };
		return { failed: false };
	} catch (error) {
		signal.throwIfAborted();
		log.warn({ err: error, sandboxId: record.sandboxId }, "a sandbox above its limits could not be relieved");
		return { failed: true };
	}
}

function isAboveMemory(limits: ContainerLimits, record: ContainerRecord): boolean {
	const usage = limits.usage(record.containerId);
	if (usage === undefined || !needsExactFigure(usage, record.resources)) return false;
	const pressure = limits.pressure(record.containerId);
	return pressure !== undefined && pressure.usedBytes > memoryBound(record.resources);
}

function usedNow(limits: ContainerLimits, { containerId, resources }: ContainerRecord): number | undefined {
	const usage = limits.usage(containerId);
	if (usage === undefined || !needsExactFigure(usage, resources)) return usage?.chargedBytes;
	return limits.pressure(containerId)?.usedBytes;
}

const TOO_MANY_PROCESSES = "too many processes: the sandbox started more than its host allows";

function outOfMemory({ resources }: ContainerRecord): string {
	return `out of memory: the sandbox used more than its ${resources.memoryMB} MB`;
}

/** Why a container that ended by itself did, as far as its limits tell. */
export function endedByLimit(limits: ContainerLimits | undefined, record: ContainerRecord): string | undefined {
	const pressure = limits?.pressure(record.containerId);
	if (pressure === undefined) return undefined;
	if (pressure.oomKills > 0) return outOfMemory(record);
	return pressure.tasksRefused > 0 ? TOO_MANY_PROCESSES : undefined;
}
