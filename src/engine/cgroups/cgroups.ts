import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { rmdir, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerPressure, ContainerUsage } from "../types.ts";
import { findLayout } from "./mounts.ts";
import type { CgroupLayout, MemoryBounds } from "./types.ts";

/**
 * The cgroups of one instance: `/offshoot-<instance>/<container>` in every hierarchy. The engine makes and enters a
 * container's group, which is also how the guest learns its memory; what the host allows above that is set here.
 * Reads are synchronous: each takes microseconds and many are made a second.
 */
export class Cgroups {
	readonly #layout: CgroupLayout;
	readonly #root: string;

	constructor(layout: CgroupLayout, instanceId: string) {
		this.#layout = layout;
		this.#root = `/offshoot-${instanceId}`;
	}

	get version(): 1 | 2 {
		return this.#layout.version;
	}

	/** The container's group as an OCI spec names it. */
	path(id: string): string {
		return `${this.#root}/${id}`;
	}

	/** Undefined when there is no such container. */
	usage(id: string): ContainerUsage | undefined {
		return this.#layout.usage(this.path(id), read);
	}

	/** Costs more than `usage`. Undefined when there is no such container. */
	pressure(id: string): ContainerPressure | undefined {
		return this.#layout.pressure(this.path(id), read);
	}

	/** @throws Error EBUSY when the container uses more than can be taken from it */
	async bound(id: string, bounds: MemoryBounds): Promise<void> {
		for (const { path, value } of this.#layout.bound(this.path(id), bounds)) await writeFile(path, value);
	}

	/** Removes the group of a container whose processes have been ended. No error if there is none. */
	async remove(id: string): Promise<void> {
		await Promise.all(this.#layout.dirs(this.path(id)).map(removeDir));
	}

	/** Removes all groups of the instance. Its containers must have ended. */
	async destroy(): Promise<void> {
		for (const dir of this.#layout.dirs(this.#root)) {
			for (const id of subdirectories(dir)) await removeDir(`${dir}/${id}`);
			await removeDir(dir);
		}
	}

	/** Containers of which any group is left. */
	list(): readonly string[] {
		return [...new Set(this.#layout.dirs(this.#root).flatMap(subdirectories))].map((path) => basename(path));
	}

	/** @throws Error when the host does not let us make groups */
	prepare(): void {
		for (const dir of this.#layout.dirs(this.#root)) mkdirSync(dir, { recursive: true });
	}
}

/** Undefined when the host has no cgroups that sandboxes could be bounded with: they run without limits then. */
export function openCgroups(instanceId: string): Cgroups | undefined {
	const layout = findLayout(read("/proc/self/mountinfo") ?? "", (mount) => read(`${mount}/cgroup.controllers`) ?? "");
	if (layout === undefined) return undefined;
	const cgroups = new Cgroups(layout, instanceId);
	try {
		cgroups.prepare();
		return cgroups;
	} catch {
		// In a container cgroups are often mounted read-only.
		return undefined;
	}
}

function read(path: string): string | undefined {
	try {
		return readFileSync(path, "latin1");
	} catch {
		return undefined;
	}
}

function subdirectories(dir: string): string[] {
	try {
		return readdirSync(dir, { withFileTypes: true })
			.filter((entry) => entry.isDirectory())
			.map((entry) => entry.name);
	} catch {
		return [];
	}
}

const BUSY_RETRIES = 500;
const BUSY_PAUSE_MS = 20;

/** A killed process leaves its group a moment after it is gone from the process table. */
async function removeDir(path: string): Promise<void> {
	for (let attempt = 0; ; attempt++) {
		try {
			return await rmdir(path);
		} catch (error) {
			const code = error instanceof Error && "code" in error ? error.code : undefined;
			if (code === "ENOENT") return;
			if (code !== "EBUSY" || attempt === BUSY_RETRIES) throw error;
			await sleep(BUSY_PAUSE_MS);
		}
	}
}
