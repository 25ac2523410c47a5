import { join } from "node:path";
import type { CgroupLayout } from "./types.ts";
import { field, number } from "./values.ts";

/**
 * cgroups version 2: one hierarchy. Above `memory.high` the kernel slows the container down, which leaves time to
 * choose what to kill; at `memory.max` it kills. Tested on fixtures only.
 * Source: Linux, Documentation/admin-guide/cgroup-v2.rst.
 *
 * @param mount mount point of the hierarchy
 */
export function layoutV2(mount: string): CgroupLayout {
	const file = (group: string, name: string) => join(mount, group, name);
	return {
		version: 2,
		dirs: (group) => [join(mount, group)],
		usage: (group, read) => {
			const chargedBytes = number(read(file(group, "memory.current")));
			if (chargedBytes === undefined) return undefined;
			return { chargedBytes, tasks: number(read(file(group, "pids.current"))) ?? 0 };
		},
		pressure: (group, read) => {
			const charged = number(read(file(group, "memory.current")));
			if (charged === undefined) return undefined;
			const memory = read(file(group, "memory.stat"));
			const guestBytes = field(memory, "shmem");
			const files = field(memory, "inactive_file") + field(memory, "active_file");
			return {
				guestBytes,
				engineBytes: Math.max(0, charged - files - guestBytes),
				oomKills: field(read(file(group, "memory.events")), "oom_kill"),
				tasksRefused: field(read(file(group, "pids.events")), "max"),
			};
		},
		// The higher limit first: the kernel would act on a moment in which `high` is above `max`.
		bound: (group, { high, max }) => [
			{ path: file(group, "memory.max"), value: String(max) },
			{ path: file(group, "memory.high"), value: String(high) },
		],
	};
}
