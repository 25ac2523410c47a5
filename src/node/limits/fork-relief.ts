import { setTimeout as sleep } from "node:timers/promises";
import type { GuestProcess, GuestPrograms } from "../../engine/index.ts";
import { tasksBound } from "./bounds.ts";
import { isFull } from "./forks.ts";
import { deadline, endEverything, NO_GROUP, type Relief, type Relieved, readable, UNREADABLE } from "./relief.ts";
import { largestFamily, type ProcessFamily } from "./victim.ts";

/**
 * Ends a fork bomb: the largest process group, while the guest stands still so that nothing forks away from it; if that
 * was not all, everything that users started. The guest's services live on in any case.
 */
const MAX_ROUNDS = 2;
/** Hundreds of processes take their time to go. */
const SETTLE_MS = 15_000;
const POLL_MS = 250;
const WHAT = "Too many processes";

/** @returns hopeless when the guest has no room whatever ends in it */
export async function relieveForks(relief: Relief, signal: AbortSignal): Promise<Relieved> {
	const { engine, record } = relief;
	for (let round = 0; round < MAX_ROUNDS; round++) {
		const ended = await engine.whileStill(record.containerId, () => endBomb(relief, signal), signal);
		if (ended === "nothing") return "relieved";
		const settled = await settleForks(relief, signal);
		if (settled !== "hopeless" || ended === "everything") return settled;
	}
	await endEverything(relief, { what: WHAT, since: "ending its largest process groups made no room" }, signal);
	return settleForks(relief, signal);
}

/** While the guest stands still: for this, or between the freeze and the image of a pause, where it does no harm. */
async function endBomb(relief: Relief, signal: AbortSignal): Promise<"nothing" | "a family" | "everything"> {
	const { limits, record } = relief;
	const programs = await limits.programs(record.containerId, deadline(signal));
	if (hasRoom(relief, programs)) return "nothing";
	const processes = await readable(limits.processes(record.containerId, deadline(signal)));
	const threads = await readable(limits.threads(record.containerId, deadline(signal)));
	if (processes === undefined || threads === undefined) {
		await endEverything(relief, { what: WHAT, since: UNREADABLE }, signal);
		return "everything";
	}
	// Threads count against the limit as processes do.
	const threadsOf = ({ pid }: GuestProcess) => threads.get(pid) ?? 1;
	const family = largestFamily(processes, processes, threadsOf);
	if (family === undefined) {
		await endEverything(relief, { what: WHAT, since: NO_GROUP }, signal);
		return "everything";
	}
	const threadCount = family.members.reduce((sum, member) => sum + threadsOf(member), 0);
	await endFamily(relief, family, threadCount, signal);
	return "a family";
}

async function endFamily(
	{ limits, record, log, tell }: Relief,
	{ groupId, members }: ProcessFamily,
	threads: number,
	signal: AbortSignal,
): Promise<void> {
	await limits.killGroup(record.containerId, groupId, deadline(signal));
	log.warn(
		{ sandboxId: record.sandboxId, guestProcessGroup: groupId, processes: members.length, threads },
		"too many processes: killed the largest process group of the sandbox",
	);
	const processes = `${members.length} ${members.length === 1 ? "process" : "processes"} (${threads} threads)`;
	tell(`${WHAT}: killed the process group ${groupId} with its ${processes}, the largest of the sandbox`);
}

/** By the guest's own limit, and by the host's for a guest whose root has lifted that. */
function hasRoom({ limits, record }: Relief, programs: GuestPrograms | undefined): boolean {
	const tasks = limits.usage(record.containerId)?.tasks ?? 0;
	return (programs === undefined || !isFull(programs)) && tasks <= tasksBound(limits.maxTasks);
}

/**
 * Waits for room, also through captures: that time is not counted. Whoever gave up at each would start from nothing
 * after it, and one snapshot after the other would save the bomb.
 * @returns hopeless when no room comes
 */
async function settleForks(relief: Relief, signal: AbortSignal): Promise<Relieved> {
	const { limits, record } = relief;
	let leftMs = SETTLE_MS;
	while (leftMs > 0) {
		const asked = Date.now();
		// One that does not answer has no room yet.
		const programs = await limits.programs(record.containerId, deadline(signal)).catch(() => "no answer" as const);
		signal.throwIfAborted();
		if (programs !== "no answer" && hasRoom(relief, programs)) return "relieved";
		await sleep(POLL_MS, undefined, { signal });
		if (!relief.isLeftAlone()) leftMs -= Date.now() - asked;
	}
	return "hopeless";
}
