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
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
		// The second field is the program's name in parentheses, which may hold anything: count from its end.
		const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
		const startTicks = fields[18];
		if (state === "Z" || state === "X" || startTicks === undefined) return undefined;
		return { pid, startTicks, bootId: readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim() };
	} catch {
		return undefined;
	}
}

export function isAlive(identity: ProcessIdentity): boolean {
	const now = identifyProcess(identity.pid);
	return now !== undefined && now.startTicks === identity.startTicks && now.bootId === identity.bootId;
}
