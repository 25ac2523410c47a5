import { join } from "node:path";
import type { CgroupLayout, ReadCgroupFile } from "./types.ts";
import { field, number } from "./values.ts";

/**
 * cgroups version 1: one hierarchy for each controller. The kernel could hold a container at its hard limit instead of
 * killing it, but then its engine answers nobody either, not even the call that ends it.
 * Source: Linux, Documentation/admin-guide/cgroup-v1/memory.rst.
 *
 * @param mounts mount points of all hierarchies, by controller
 */
export function layoutV1(mounts: ReadonlyMap<string, string>): CgroupLayout {
	const file = (controller: string, group: string, name: string) => join(mounts.get(controller) ?? "", group, name);
	const stat = (group: string, read: ReadCgroupFile) => read(file("memory", group, "memory.stat"));
	return {
		version: 1,
		dirs: (group) => [...new Set(mounts.values())].map((mount) => join(mount, group)),
		usage: (group, read) => {
			const chargedBytes = number(read(file("memory", group, "memory.usage_in_bytes")));
			if (chargedBytes === undefined) return undefined;
			return { chargedBytes, tasks: number(read(file("pids", group, "pids.current"))) ?? 0 };
		},
		pressure: (group, read) => {
			const charged = number(read(file("memory", group, "memory.usage_in_bytes")));
			if (charged === undefined) return undefined;
			const memory = stat(group, read);
			const oom = read(file("memory", group, "memory.oom_control"));
			const guestBytes = field(memory, "total_shmem");
			const files = field(memory, "total_inactive_file") + field(memory, "total_active_file");
			return {
				guestBytes,
				engineBytes: Math.max(0, charged - files - guestBytes),
				oomKills: field(oom, "oom_kill"),
				tasksRefused: field(read(file("pids", group, "pids.events")), "max"),
			};
		},
		bound: (group, { max }) => [{ path: file("memory", group, "memory.limit_in_bytes"), value: String(max) }],
	};
}
