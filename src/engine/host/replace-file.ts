/** Files that are replaced as a whole: who reads one sees the old content or the new, never a part, also after a crash. */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";

/**
 * @param mode permissions of the new file; of several writers in one process only one may be at it at a time
 * @throws what the file system says, on a full disk for one; the old file stays then, and nothing beside it
 */
export async function replaceFile(path: string, content: string, mode: number): Promise<void> {
	const staging = stagingOf(path);
	try {
		// Flushed before the rename: a name must not outlive a power cut that its content does not.
		await writeFile(staging, content, { mode, flush: true });
		await rename(staging, path);
	} catch (error) {
		await rm(staging, { force: true });
		throw error;
	}
}

/** For a writer that must not be overtaken by its own next write. @throws as `replaceFile` */
export function replaceFileSync(path: string, content: string, mode: number): void {
	const staging = stagingOf(path);
	try {
		writeFileSync(staging, content, { mode, flush: true });
		renameSync(staging, path);
	} catch (error) {
		rmSync(staging, { force: true });
		throw error;
	}
}

function stagingOf(path: string): string {
	return `${path}.${process.pid}.tmp`;
}
