/**
 * Learns of restores. gVisor's /proc/gvisor/checkpoint blocks until the next checkpoint and then reads `resume` in the
 * sandbox that went on and `restore` in one that was made from the image.
 */
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf } from "../errors.ts";
import { log } from "../log.ts";

const FILE = "/proc/gvisor/checkpoint";
const RETRY_MS = 100;

/** Calls `onRestore` after every restore. Returns at once where the kernel has no such file; else never. */
export async function watchCheckpoints(onRestore: () => Promise<void>): Promise<void> {
	for (;;) {
		try {
			if ((await readOnce()).startsWith("restore")) await onRestore();
		} catch (error) {
			if (errnoOf(error) === "ENOENT") return;
			log("reading the checkpoint file failed", error);
			await sleep(RETRY_MS);
		}
	}
}

/** Holds one thread of the pool until the next checkpoint. */
async function readOnce(): Promise<string> {
	await using handle = await open(FILE, "r");
	const buffer = Buffer.alloc(64);
	const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
	return buffer.toString("utf8", 0, bytesRead);
}
