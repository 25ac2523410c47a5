/**
 * Names a process so that a later one with the same pid is not taken for it: pids are reused, also across reboots, but
 * not together with the boot and the start time.
 */
import { readFileSync } from "node:fs";
import { type Static, Type } from "typebox";

export const ProcessIdentitySchema = Type.Object({
	pid: Type.Integer({ minimum: 1 }),
	/** Clock ticks from boot to the start of the process. */
	startTicks: Type.String(),
	bootId: Type.String(),
});
export type ProcessIdentity = Static<typeof ProcessIdentitySchema>;

/** Undefined when there is no such process or it is a zombie. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
	const startTicks = startTicksOf(pid);
	return startTicks === undefined ? undefined : { pid, startTicks, bootId: bootId() };
}

/** Clock ticks from boot to the start of a process; undefined when there is no such process or it is a zombie. */
export function startTicksOf(pid: number): string | undefined {
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
		// The second field is the program's name in parentheses, which may hold anything: count from its end.
		const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		const startTicks = fields[18];
		return state === "Z" || state === "X" ? undefined : startTicks;
	} catch {
		return undefined;
	}
}

function bootId(): string {
	return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

export function isAlive(identity: ProcessIdentity): boolean {
	const now = identifyProcess(identity.pid);
	return now !== undefined && now.startTicks === identity.startTicks && now.bootId === identity.bootId;
}
