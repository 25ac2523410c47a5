import { setTimeout as sleep } from "node:timers/promises";
import type { GuestProcess } from "../../engine/index.ts";
import { excessBytes, isCrowded, marginBytes } from "./bounds.ts";
import { deadline, endEverything, NO_GROUP, type Relief, type Relieved, readable, UNREADABLE } from "./relief.ts";
import { largestFamily, largestProcesses, type ProcessFamily } from "./victim.ts";

/**
 * Ends what holds most memory in one guest, one process (or family) after the other, until it is within its bounds. The
 * sandbox lives on: whoever waits for the process sees it killed by signal 9.
 */

/** So long in vain says that no process is to blame: memory that no process holds stays. */
const HOPELESS_MS = 15_000;
/** Memory of hundreds of processes comes back slowly. */
const CROWD_HOPELESS_MS = 45_000;
const SETTLE_MS = 250;
const CROWD_SETTLE_MS = 3_000;
const SOON_MS = 500;
/** Programs of a guest that may answer late, threads included. */
const CROWD = 64;
const POLL_MS = 5;
const MB = 1024 * 1024;
const GROWTH_BYTES = 64 * MB;
/** More processes than this that would have to end are one family's doing, which ends as a whole. */
const MANY_VICTIMS = 8;
const WHAT = "Out of memory";

/** @returns hopeless when the guest stays above its memory whatever ends in it */
export async function relieveMemory(relief: Relief, signal: AbortSignal): Promise<Relieved> {
	if (relief.isLeftAlone()) return "untouched";
	const { engine, record } = relief;
	const crowded = await isCrowdedNow(relief, signal);
	const hopelessAt = Date.now() + (crowded ? CROWD_HOPELESS_MS : HOPELESS_MS);
	const ended = new Set<string>();
	while (Date.now() < hopelessAt) {
		const excess = excessOf(relief);
		if (excess <= 0) return "relieved";
		const round = (how: Relief) => endLargest(how, excess, ended, signal);
		// A capture that waits for this standstill to be over does not keep it from being used.
		await (crowded ? engine.whileStill(record.containerId, () => round(atOnce(relief)), signal) : round(relief));
		// Memory comes back some time after its process is gone.
		await settleMemory(relief, excess, crowded ? CROWD_SETTLE_MS : SETTLE_MS, signal);
		if (relief.isLeftAlone()) return "untouched";
	}
	return excessOf(relief) <= 0 ? "relieved" : "hopeless";
}

/**
 * Before a guest goes on that a former server stopped: what it was stopped for would run away before anybody looked at
 * it again.
 */
export async function relieveStopped(relief: Relief, signal: AbortSignal): Promise<void> {
	const excess = excessOf(relief);
	if (excess > 0) await endLargest(atOnce(relief), excess, new Set(), signal);
}

/** For a guest that stands still so that things can be ended in it: it goes on as soon as that is done. */
function atOnce(relief: Relief): Relief {
	return { ...relief, isLeftAlone: () => false };
}

/** Of a crowd the engine keeps host tasks long after it has gone, so the guest is asked; not being answered says enough. */
async function isCrowdedNow({ limits, record }: Relief, signal: AbortSignal): Promise<boolean> {
	const usage = limits.usage(record.containerId);
	if (usage === undefined || !isCrowded(usage)) return false;
	const soon = AbortSignal.any([signal, AbortSignal.timeout(SOON_MS)]);
	const programs = await limits.programs(record.containerId, soon).catch(() => undefined);
	signal.throwIfAborted();
	return programs === undefined || programs.count > CROWD;
}

/** bytes; a container that ended meanwhile uses none */
function excessOf({ limits, record }: Relief): number {
	const pressure = limits.pressure(record.containerId);
	return pressure === undefined ? 0 : excessBytes(pressure, record.resources);
}

/** @param ended what was ended before, which may still be on its way out; added to */
async function endLargest(relief: Relief, excess: number, ended: Set<string>, signal: AbortSignal): Promise<void> {
	const { limits, record } = relief;
	const processes = await readable(limits.processes(record.containerId, deadline(signal)));
	if (relief.isLeftAlone()) return;
	if (processes === undefined) return endEverything(relief, { what: WHAT, since: UNREADABLE }, signal);
	const victims = largestProcesses(processes, excess + marginBytes(record.resources));
	if (victims.length > MANY_VICTIMS) {
		const family = largestFamily(victims, processes);
		if (family === undefined) return endEverything(relief, { what: WHAT, since: NO_GROUP }, signal);
		return endFamily(relief, family, ended, signal);
	}
	for (const victim of victims) {
		if (!ended.has(`process ${victim.pid}`)) await endProcess(relief, victim, signal);
		ended.add(`process ${victim.pid}`);
	}
}

async function endFamily(
	{ limits, record, log, tell }: Relief,
	{ groupId, members }: ProcessFamily,
	ended: Set<string>,
	signal: AbortSignal,
): Promise<void> {
	await limits.killGroup(record.containerId, groupId, deadline(signal));
	if (ended.has(`group ${groupId}`)) return;
	ended.add(`group ${groupId}`);
	const { memoryMB } = record.resources;
	log.warn(
		{ sandboxId: record.sandboxId, guestProcessGroup: groupId, processes: members.length, limitMB: memoryMB },
		"out of memory: killed the process group of the sandbox that holds most",
	);
	tell(
		`Out of memory: killed the process group ${groupId} with its ${members.length} processes, for which the sandbox's ${memoryMB} MB are not enough`,
	);
}

async function endProcess({ limits, record, log, tell }: Relief, victim: GuestProcess, signal: AbortSignal): Promise<void> {
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
async function settleMemory(relief: Relief, before: number, limitMs: number, signal: AbortSignal): Promise<void> {
	const end = Date.now() + limitMs;
	while (Date.now() < end && !relief.isLeftAlone()) {
		const now = excessOf(relief);
		if (now <= 0 || now > before + GROWTH_BYTES) return;
		await sleep(POLL_MS, undefined, { signal });
	}
}
