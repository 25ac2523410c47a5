import type { GuestProcess } from "../../engine/index.ts";

/**
 * What ends when a guest takes too much, as Linux's OOM killer would choose: the largest process, or the largest
 * family of processes; never one of those that make the sandbox a sandbox, whose memory is not the user's doing.
 */
const INIT = "/opt/offshoot/bin/init";
const SERVICES = ["tini", "offshoot-agentd", "offshoot-sysd", "offshoot-interp"].map((name) => `/opt/offshoot/bin/${name}`);

/**
 * The largest processes, as few as hold `bytes` together. None when all of them hold less: then ending them would not
 * help, and most likely the memory of one that has ended is still on its way back.
 */
export function largestProcesses(processes: readonly GuestProcess[], bytes: number): readonly GuestProcess[] {
	const candidates = processes.filter((process) => !isService(process)).sort((a, b) => b.memoryBytes - a.memoryBytes);
	const victims: GuestProcess[] = [];
	let held = 0;
	for (const candidate of candidates) {
		if (held >= bytes) return victims;
		victims.push(candidate);
		held += candidate.memoryBytes;
	}
	return held >= bytes ? victims : [];
}

/** A process group. */
export interface ProcessFamily {
	readonly groupId: number;
	readonly members: readonly GuestProcess[];
}

/** Of what is to blame, at least so much is the doing of the family that ends for it. */
const SMALLEST_SHARE = 0.25;

/**
 * The process group that has most of `blamed`; none when they are of many, so that no one of them is to blame. The
 * sandbox's services are never to blame.
 * @param processes all that there are
 * @param weigh how much each of `blamed` counts
 */
export function largestFamily(
	blamed: readonly GuestProcess[],
	processes: readonly GuestProcess[],
	weigh: (process: GuestProcess) => number = () => 1,
): ProcessFamily | undefined {
	const services = new Set(processes.filter(isService).map(({ groupId }) => groupId));
	const weights = new Map<number, number>();
	let total = 0;
	for (const process of blamed) {
		if (isService(process)) continue;
		const weight = weigh(process);
		total += weight;
		// One that shares a group with a service counts, though its group cannot end.
		if (!services.has(process.groupId)) weights.set(process.groupId, (weights.get(process.groupId) ?? 0) + weight);
	}
	const [largest] = [...weights].sort(([, a], [, b]) => b - a);
	if (largest === undefined || largest[1] < SMALLEST_SHARE * total) return undefined;
	return { groupId: largest[0], members: processes.filter(({ groupId }) => groupId === largest[0]) };
}

function isService({ program, args }: GuestProcess): boolean {
	return SERVICES.includes(program) || args.includes(INIT);
}
