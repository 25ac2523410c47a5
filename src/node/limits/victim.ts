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

export interface ProcessFamily {
	readonly groupId: number;
	readonly count: number;
}

/** The process group with most processes, of those without a service in it. */
export function largestFamily(processes: readonly GuestProcess[]): ProcessFamily | undefined {
	const counts = new Map<number, number>();
	for (const { groupId } of processes) counts.set(groupId, (counts.get(groupId) ?? 0) + 1);
	for (const process of processes) if (isService(process)) counts.delete(process.groupId);
	const [largest] = [...counts].sort(([, a], [, b]) => b - a);
	return largest && { groupId: largest[0], count: largest[1] };
}

function isService({ program, args }: GuestProcess): boolean {
	return SERVICES.includes(program) || args.includes(INIT);
}
