import { open, readdir } from "node:fs/promises";
import { join } from "node:path";

/** Forces a file's or directory's content to disk. */
export async function syncPath(path: string): Promise<void> {
	const handle = await open(path, "r");
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

/** Forces a directory, all below it and its names to disk, leaves first: a synced name must not precede its content. */
export async function syncTree(dir: string): Promise<void> {
	const entries = await readdir(dir, { withFileTypes: true });
	await Promise.all(
		entries.map((entry) => {
			const path = join(dir, entry.name);
			return entry.isDirectory() ? syncTree(path) : syncPath(path);
		}),
	);
	await syncPath(dir);
}
