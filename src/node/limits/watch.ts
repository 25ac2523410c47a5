import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { type ContainerLimits, type EngineBuild, type SandboxEngine, StuckError } from "../../engine/index.ts";
import type { ContainerRecord, Records } from "../records.ts";
import { excessBytes, memoryBound, needsExactFigure, nextLook } from "./bounds.ts";
import { ForkLooks } from "./fork-looks.ts";
import { relieveForks } from "./fork-relief.ts";
import { relieveMemory, relieveStopped } from "./memory-relief.ts";
import type { Relief } from "./relief.ts";

/**
 * Holds every ready container to its memory and its number of processes. gVisor has no OOM killer of its own, and the
 * host's would end the whole sandbox; so usage is looked at from outside, the more often the nearer it is to its
 * bound, and the guest's largest process ends first. The number of processes is bounded in the guest; what goes on
 * forking there is ended from here.
 */
export interface LimitsWatchOptions {
	readonly records: Pick<Records, "all">;
	readonly engines: { open(build: EngineBuild): Promise<Pick<SandboxEngine, "limits" | "whileStill" | "resume">> };
	readonly log: Logger;
	/**
	 * True for a container that stands still for a pause or of which an image is being written: nothing can be ended in
	 * it, and that is no reason to give it up.
	 */
	readonly isLeftAlone: (containerId: string) => boolean;
	/** A container that stays above its bounds whatever is ended in it. */
	readonly onHopeless: (record: ContainerRecord, reason: string) => void;
	/** Something in it was ended so that the rest can live: a sentence for the sandbox's log. */
	readonly onEnded: (record: ContainerRecord, what: string) => void;
}

const SCAN_MS = 250;

export interface LimitsWatch {
	/** To be called before a container that was found paused goes on. Whatever fails, it may go on. */
	beforeResume(record: ContainerRecord, signal: AbortSignal): Promise<void>;
	/** Has no effect on containers; resolves when none stands still for the watch any more. */
	stop(): Promise<void>;
}

export function watchLimits(options: LimitsWatchOptions): LimitsWatch {
	const guards = new Set<Promise<void>>();
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
			const guarding = guard(options, record, stop.signal).catch((error) => {
				if (stop.signal.aborted) return;
				options.log.error({ err: error, sandboxId: record.sandboxId }, "watching the limits of a sandbox failed; trying again");
				guarded.delete(record.containerId);
			});
			guards.add(guarding);
			void guarding.finally(() => guards.delete(guarding));
		}
	};
	const timer = setInterval(scan, SCAN_MS);
	return {
		beforeResume: async (record, signal) => {
			const relief = await reliefOf(options, record);
			await (relief && relieveStopped(relief, signal))?.catch((error) =>
				options.log.warn({ err: error, sandboxId: record.sandboxId }, "a sandbox found paused could not be relieved"),
			);
		},
		stop: async () => {
			clearInterval(timer);
			for (const stop of guarded.values()) stop.abort();
			await Promise.all(guards);
		},
	};
}

/** Ends with the container, or when it was given up. @throws what makes watching it impossible */
async function guard(options: LimitsWatchOptions, record: ContainerRecord, signal: AbortSignal): Promise<void> {
	const relief = await reliefOf(options, record);
	if (relief === undefined) return;
	const { limits } = relief;
	const forks = new ForkLooks(relief);
	let failures = 0;
	while (!signal.aborted) {
		const seen = await look(relief, forks, signal);
		// What was seen while a pause or an image began says nothing: a guest that stands still neither answers nor gives back.
		const outcome = relief.isLeftAlone() ? UNTOUCHED : seen;
		failures = outcome.failed === undefined ? 0 : failures + 1;
		if (outcome.hopeless !== undefined) return options.onHopeless(record, outcome.hopeless);
		if (outcome.failed !== undefined && failures >= MAX_FAILURES) return options.onHopeless(record, outcome.failed);
		const roomBytes = roomOf(limits, record);
		if (roomBytes === undefined) return;
		await sleep(outcome.failed !== undefined ? RETRY_MS : nextLook(roomBytes), undefined, { signal });
	}
}

/** Undefined where the host does not bound containers. */
async function reliefOf(options: LimitsWatchOptions, record: ContainerRecord): Promise<Relief | undefined> {
	const { engines, log, onEnded } = options;
	const engine = await engines.open(record.engine);
	const { limits } = engine;
	const isLeftAlone = () => options.isLeftAlone(record.containerId);
	return limits && { engine, limits, record, log, isLeftAlone, tell: (what) => onEnded(record, what) };
}

/** A sandbox above its bounds that cannot even be spoken to so often is beyond help. */
const MAX_FAILURES = 3;
const RETRY_MS = 250;

interface Outcome {
	/** Why the sandbox cannot go on. */
	readonly hopeless?: string;
	/** Why it could not go on if this stayed so: it is above its bounds and did not answer. */
	readonly failed?: string;
}

const UNTOUCHED: Outcome = {};

async function look(relief: Relief, forks: ForkLooks, signal: AbortSignal): Promise<Outcome> {
	const { limits, record, log } = relief;
	try {
		if ((roomOf(limits, record) ?? 0) < 0 && (await relieveMemory(relief, signal)) === "hopeless")
			return { hopeless: outOfMemory(record) };
		if ((await forks.withoutEnd(signal)) && (await relieveForks(relief, signal)) === "hopeless")
			return { hopeless: TOO_MANY_PROCESSES };
		return {};
	} catch (error) {
		signal.throwIfAborted();
		if (limits.usage(record.containerId) === undefined) return {};
		log.warn({ err: error, sandboxId: record.sandboxId }, "a sandbox above its limits could not be relieved");
		const reason = forks.crowded ? TOO_MANY_PROCESSES : outOfMemory(record);
		if (!(error instanceof StuckError)) return { failed: reason };
		return (await runsAfterCapture(relief, signal)) ? UNTOUCHED : { hopeless: reason };
	}
}

/** For one that could not be let run again: a pause or an image that waited for it goes first, and may end as it runs. */
async function runsAfterCapture({ engine, limits, record, isLeftAlone }: Relief, signal: AbortSignal): Promise<boolean> {
	if (!isLeftAlone()) return false;
	while (isLeftAlone()) await sleep(RETRY_MS, undefined, { signal });
	return engine.resume(record.containerId, signal).then(
		() => true,
		() => limits.usage(record.containerId) === undefined,
	);
}

/** Bytes left within its bounds, at least; undefined when the container is gone. */
function roomOf(limits: ContainerLimits, { containerId, resources }: ContainerRecord): number | undefined {
	const usage = limits.usage(containerId);
	if (usage === undefined) return undefined;
	if (!needsExactFigure(usage, resources)) return memoryBound(resources) - usage.chargedBytes;
	const pressure = limits.pressure(containerId);
	return pressure && -excessBytes(pressure, resources);
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
