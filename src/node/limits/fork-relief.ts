import { setTimeout as sleep } from "node:timers/promises";
import type { GuestPrograms } from "../../engine/index.ts";
import { tasksBound } from "./bounds.ts";
import { isFull } from "./forks.ts";
import { deadline, endEverything, type Relief, type Relieved } from "./relief.ts";
import { largestFamily } from "./victim.ts";

/**
 * Ends a fork bomb: the largest process group, while the guest stands still so that nothing forks away from it; if that
 * was not all, everything that users started. The guest's services live on in any case.
 */
const MAX_ROUNDS = 2;
/** Hundreds of processes take their time to go. */
const SETTLE_MS = 15_000;
const POLL_MS = 250;

/** @returns hopeless when the guest has no room whatever ends in it */
export async function relieveForks(relief: Relief, signal: AbortSignal): Promise<Relieved> {
	const { engine, record } = relief;
	for (let round = 0; round < MAX_ROUNDS; round++) {
		if (relief.isLeftAlone()) return "untouched";
		const ended = await engine.whileStill(record.containerId, () => endBomb(relief, signal), signal);
		if (ended === "nothing") return relief.isLeftAlone() ? "untouched" : "relieved";
		const settled = await settleForks(relief, signal);
		if (settled !== "hopeless" || ended === "everything") return settled;
	}
	await endEverything(relief, "Too many processes", signal);
	return settleForks(relief, signal);
}

async function endBomb(relief: Relief, signal: AbortSignal): Promise<"nothing" | "a family" | "everything"> {
	const { limits, record, log, tell } = relief;
	// Before it came to this, a pause may have begun.
	if (relief.isLeftAlone()) return "nothing";
	const programs = await limits.programs(record.containerId, deadline(signal));
	if (hasRoom(relief, programs)) return "nothing";
	const processes = await limits.processes(record.containerId, deadline(signal));
	if (relief.isLeftAlone()) return "nothing";
	const family = largestFamily(processes, processes);
	if (family === undefined) {
		await endEverything(relief, "Too many processes", signal);
		return "everything";
	}
	const { groupId, members } = family;
	await limits.killGroup(record.containerId, groupId, deadline(signal));
	log.warn(
		{ sandboxId: record.sandboxId, guestProcessGroup: groupId, processes: members.length, limit: programs?.max },
		"too many processes: killed the largest process group of the sandbox",
	);
	tell(`Too many processes: killed the process group ${groupId} with its ${members.length} processes, which went on forking`);
	return "a family";
}

/** By the guest's own limit, and by the host's for a guest whose root has lifted that. */
function hasRoom({ limits, record }: Relief, programs: GuestPrograms | undefined): boolean {
	const tasks = limits.usage(record.containerId)?.tasks ?? 0;
	return (programs === undefined || !isFull(programs)) && tasks <= tasksBound(limits.maxTasks);
}

/** Waits for room. @returns hopeless when none comes */
async function settleForks(relief: Relief, signal: AbortSignal): Promise<Relieved> {
	const { limits, record } = relief;
	const end = Date.now() + SETTLE_MS;
	while (Date.now() < end) {
		// One that does not answer has no room yet.
		const programs = await limits.programs(record.containerId, deadline(signal)).catch(() => "no answer" as const);
		signal.throwIfAborted();
		if (relief.isLeftAlone()) return "untouched";
		if (programs !== "no answer" && hasRoom(relief, programs)) return "relieved";
		await sleep(POLL_MS, undefined, { signal });
	}
	return relief.isLeftAlone() ? "untouched" : "hopeless";
}
