import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** Facts about host processes of containers, from /proc. Synchronous: each read is microseconds and must not interleave. */

/** True while the process runs; a zombie has ended. */
export function isAlive(pid: number): boolean {
	if (pid <= 0) return false;
	try {
		const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
		const state = stat.charAt(stat.lastIndexOf(")") + 2);
		return state !== "Z" && state !== "X";
	} catch {
		return false;
	}
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
