import type { ContainerLimits, ContainerPressure } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import type { ContainerRecord } from "../records.ts";
import { hostBound } from "./bounds.ts";

/**
 * Containers of which an image is being written. The engine takes memory of its own for it, by what it keeps of the
 * guest's files, and would be ended with the whole sandbox where the host has no room for that: such an image is
 * refused before anything stands still.
 */
export class ImageWriting {
	readonly #now = new Set<string>();
	/** Bytes of the engine after an image was written: it keeps that memory, and needs no more for the next. */
	readonly #held = new Map<string, number>();

	has(containerId: string): boolean {
		return this.#now.has(containerId);
	}

	forget(containerId: string): void {
		this.#held.delete(containerId);
	}

	/** @throws OffshootError no_space */
	async during<T>(limits: ContainerLimits, record: ContainerRecord, work: () => Promise<T>): Promise<T> {
		const { containerId, resources } = record;
		const pressure = limits.pressure(containerId);
		if (pressure) requireRoom(neededBytes(pressure, this.#held.get(containerId)), hostBound(resources));
		this.#now.add(containerId);
		try {
			return await work();
		} finally {
			this.#now.delete(containerId);
			const after = limits.pressure(containerId);
			if (after) this.#held.set(containerId, after.engineBytes);
		}
	}
}

/** Measured with 20,000 to 200,000 files: the engine has 2.6 to 2.9 times as much afterwards. */
const WRITING_FACTOR = 3;

/** Bytes of guest and engine when the image is written. @param held engine bytes after the last one of the same guest */
export function neededBytes({ guestBytes, engineBytes }: ContainerPressure, held = 0): number {
	const since = Math.max(0, engineBytes - held);
	return guestBytes + held + WRITING_FACTOR * since;
}

function requireRoom(needed: number, allowed: number): void {
	if (needed <= allowed) return;
	const mb = (bytes: number) => Math.ceil(bytes / (1024 * 1024));
	throw new OffshootError(
		"no_space",
		`The sandbox has too many files for a snapshot or a pause: writing them down may take ${mb(needed)} MB of memory, of which its host ` +
			`allows ${mb(allowed)} MB. Remove files it no longer needs, or pack them into an archive; the sandbox goes on running.`,
		{ errorCode: "insufficient_memory", shouldRetry: false },
	);
}
