/** Files that are replaced as a whole: who reads one sees the old content or the new, never a part, also after a crash. */
import { renameSync, writeFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";

/** @param mode permissions of the new file; of several writers in one process only one may be at it at a time */
export async function replaceFile(path: string, content: string, mode: number): Promise<void> {
	const staging = stagingOf(path);
	// Flushed before the rename: a name must not outlive a power cut that its content does not.
	await writeFile(staging, content, { mode, flush: true });
	await rename(staging, path);
}

/** For a writer that must not be overtaken by its own next write. */
export function replaceFileSync(path: string, content: string, mode: number): void {
	const staging = stagingOf(path);
	writeFileSync(staging, content, { mode, flush: true });
	renameSync(staging, path);
}

function stagingOf(path: string): string {
	return `${path}.${process.pid}.tmp`;
}
