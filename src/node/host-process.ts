import { readdirSync, readlinkSync, statSync } from "node:fs";
import { startTicksOf } from "../engine/index.ts";

/** Facts about host processes of containers, from /proc. Synchronous: each read is microseconds and must not interleave. */

export interface HostProcess {
	/** 0 while there is none. */
	readonly pid: number;
	/** Tells it from a later process with the same pid; "" when it had ended before it could be looked at. */
	readonly startTicks: string;
}

export function hostProcess(pid: number): HostProcess {
	return { pid, startTicks: startTicksOf(pid) ?? "" };
}

/**
 * True while the process runs; a zombie has ended. A record of an earlier version has no start ticks: then any process
 * with its pid counts.
 */
export function isRunning({ pid, startTicks }: { readonly pid: number; readonly startTicks?: string | undefined }): boolean {
	if (pid <= 0) return false;
	const now = startTicksOf(pid);
	return now !== undefined && (startTicks === undefined || startTicks === now);
}

/**
 * Upper bound of the bytes a checkpoint of this container writes: its guest memory and its writable layer, both of
 * which the engine keeps in files without a name.
 */
export function memoryFootprint(pid: number): number {
	const dir = `/proc/${pid}/fd`;
	const seen = new Set<number>();
	let bytes = 0;
	for (const fd of readdirSync(dir)) {
		try {
			const path = `${dir}/${fd}`;
			if (!readlinkSync(path).endsWith("(deleted)")) continue;
			const { ino, blocks } = statSync(path);
			if (seen.has(ino)) continue;
			seen.add(ino);
			bytes += blocks * 512;
		} catch {
			// The descriptor was closed between the two calls: it holds nothing any more.
		}
	}
	return bytes;
}
