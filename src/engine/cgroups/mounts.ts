import type { CgroupLayout } from "./types.ts";
import { layoutV1 } from "./v1.ts";
import { layoutV2 } from "./v2.ts";

/**
 * Which cgroups a host has, from /proc/self/mountinfo. Version 2 counts when it is all there is, as the engine sees it;
 * beside hierarchies of version 1 it has no controllers.
 *
 * @returns undefined when a controller that sandboxes need is missing
 */
export function findLayout(mountinfo: string, readControllers: (mount: string) => string): CgroupLayout | undefined {
	const mounts = mountinfo.split("\n").flatMap(parseMount);
	const v1 = mounts.filter((mount) => mount.type === "cgroup");
	if (v1.length > 0) {
		const byController = new Map(v1.flatMap(({ path, options }) => options.map((option) => [option, path] as const)));
		return NEEDED.every((controller) => byController.has(controller)) ? layoutV1(hierarchies(v1)) : undefined;
	}
	const v2 = mounts.find((mount) => mount.type === "cgroup2");
	if (v2 === undefined) return undefined;
	const controllers = readControllers(v2.path).trim().split(" ");
	return NEEDED.every((controller) => controllers.includes(controller)) ? layoutV2(v2.path) : undefined;
}

const NEEDED = ["memory", "cpu", "pids"];

interface Mount {
	readonly path: string;
	readonly type: string;
	readonly options: readonly string[];
}

/** Fields: … (5) mount point … - type source options. */
function parseMount(line: string): Mount[] {
	const [before, after] = line.split(" - ");
	const path = before?.split(" ")[4];
	const [type, , options] = after?.split(" ") ?? [];
	if (path === undefined || type === undefined) return [];
	return [{ path, type, options: options?.split(",") ?? [] }];
}

/** By controller where there is one, else by path: the engine makes groups in named hierarchies too. */
function hierarchies(mounts: readonly Mount[]): Map<string, string> {
	const found = new Map<string, string>();
	for (const { path, options } of mounts) {
		const known = options.filter((option) => NEEDED.includes(option));
		for (const key of known.length > 0 ? known : [path]) found.set(key, path);
	}
	return found;
}
