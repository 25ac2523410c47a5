import type { ContainerPressure, ContainerUsage } from "../types.ts";

/** Reads a file of a cgroup; undefined when the cgroup or the file does not exist. */
export type ReadCgroupFile = (path: string) => string | undefined;

/** What differs between the versions. Paths are those of one container's group. */
export interface CgroupLayout {
	readonly version: 1 | 2;
	/** Every directory that stands for the group `name` (absolute, as in an OCI spec). */
	dirs(name: string): readonly string[];
	usage(name: string, read: ReadCgroupFile): ContainerUsage | undefined;
	pressure(name: string, read: ReadCgroupFile): ContainerPressure | undefined;
	/** Files and values that set a hard limit, in the order in which they must be written. */
	bound(name: string, bounds: MemoryBounds): readonly CgroupWrite[];
}

export interface MemoryBounds {
	/** bytes at which the guest's processes are slowed down, where the kernel can do that */
	readonly high: number;
	/** bytes that are never passed */
	readonly max: number;
}

export interface CgroupWrite {
	readonly path: string;
	readonly value: string;
}
