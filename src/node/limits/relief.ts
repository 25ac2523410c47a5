import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { ContainerLimits, GuestProcess } from "../../engine/index.ts";
import type { ContainerRecord } from "../records.ts";
import { memoryBound, memoryTarget, tasksBound } from "./bounds.ts";
import { largestFamily, largestProcesses } from "./victim.ts";

/**
 * Ends what takes too much in one guest, one process (or family) after the other, until it is within its bounds. The
 * sandbox lives on: whoever waits for the process sees it killed by signal 9.
 */
export interface Relief {
	readonly limits: ContainerLimits;
	readonly record: ContainerRecord;
	readonly log: Logger;
	/** Given a sentence for the sandbox's user about each thing that was ended. */
	readonly tell: (what: string) => void;
}

/** So long in vain says that no process is to blame: memory that no process holds stays. */
const HOPELESS_MS = 15_000;
const MAX_ROUNDS = 6;
const ANSWER_TIMEOUT_MS = 5_000;
const SETTLE_MS = 250;
const POLL_MS = 5;
const MB = 1024 * 1024;
const GROWTH_BYTES = 64 * MB;

/** @returns false when the guest stays above its memory whatever ends in it */
export async function relieveMemory(relief: Relief, signal: AbortSignal): Promise<boolean> {
	const { limits, record } = relief;
	const hopelessAt = Date.now() + HOPELESS_MS;
	const ended = new Set<number>();
	while (Date.now() < hopelessAt) {
		const usedBytes = usedMemory(relief);
		if (usedBytes <= memoryBound(record.resources)) return true;
		const processes = await limits.processes(record.containerId, deadline(signal));
		const victims = largestProcesses(processes, usedBytes - memoryTarget(record.resources));
		for (const victim of victims) {
			if (!ended.has(victim.pid)) await end(relief, victim, signal);
			ended.add(victim.pid);
		}
		// Memory comes back some time after its process is gone.
		await settleMemory(relief, usedBytes, signal);
	}
	return usedMemory(relief) <= memoryBound(record.resources);
}

/** bytes; a container that ended meanwhile uses none */
function usedMemory({ limits, record }: Relief): number {
	return limits.pressure(record.containerId)?.usedBytes ?? 0;
}

async function end({ limits, record, log, tell }: Relief, victim: GuestProcess, signal: AbortSignal): Promise<void> {
	const { pid, program, memoryBytes } = victim;
	const { memoryMB } = record.resources;
	await limits.killProcess(record.containerId, pid, deadline(signal)).catch((error) => {
		signal.throwIfAborted();
		log.debug({ err: error, guestPid: pid }, "the process ended by itself");
	});
	log.warn(
		{ sandboxId: record.sandboxId, guestPid: pid, program, memoryBytes, limitMB: memoryMB },
		"out of memory: killed the largest process of the sandbox",
	);
	const held = Math.round(memoryBytes / MB);
	tell(`Out of memory: killed process ${pid} (${program}), which held ${held} MB of the sandbox's ${memoryMB} MB`);
}

/** Waits for the victims' memory to come back, unless others take more meanwhile. */
async function settleMemory(relief: Relief, before: number, signal: AbortSignal): Promise<void> {
	const end = Date.now() + SETTLE_MS;
	while (Date.now() < end) {
		const now = usedMemory(relief);
		if (now <= memoryBound(relief.record.resources) || now > before + GROWTH_BYTES) return;
		await sleep(POLL_MS, undefined, { signal });
	}
}

/** @returns false when there are too many processes whatever ends */
export async function relieveTasks({ limits, record, log, tell }: Relief, signal: AbortSignal): Promise<boolean> {
	const within = () => (limits.usage(record.containerId)?.tasks ?? 0) <= tasksBound(limits.maxTasks);
	for (let round = 0; round < MAX_ROUNDS && !within(); round++) {
		const family = largestFamily(await limits.processes(record.containerId, deadline(signal)));
		if (family === undefined) return false;
		await limits.killGroup(record.containerId, family.groupId, deadline(signal));
		const { groupId, count } = family;
		log.warn(
			{ sandboxId: record.sandboxId, guestProcessGroup: groupId, processes: count },
			"too many processes: killed the largest process group of the sandbox",
		);
		tell(`Too many processes: killed the process group ${groupId} with its ${count} processes`);
		await settleTasks(within, signal);
	}
	return within();
}

function deadline(signal: AbortSignal): AbortSignal {
	return AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
}

async function settleTasks(within: () => boolean, signal: AbortSignal): Promise<void> {
	const end = Date.now() + 4 * SETTLE_MS;
	while (!within() && Date.now() < end) await sleep(POLL_MS, undefined, { signal });
}
