/**
 * Brings a built root filesystem into a server's data directory, which must hold all it needs even after the cache was
 * emptied. On one filesystem that costs hard links only.
 */
import { existsSync } from "node:fs";
import { mkdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { RootfsBuild } from "./build.ts";
import { removeTree, syncFilesystem } from "./cache.ts";
import { run } from "./run.ts";

/**
 * Makes `<destDir>/<build.id>` and returns its path: complete and durable, or not there at all. An existing one is
 * returned as it is. `destDir` belongs to the caller alone; what a crash left in it is removed by the next import of the
 * same build.
 */
export async function importRootfs(build: RootfsBuild, destDir: string, signal: AbortSignal): Promise<string> {
	const target = join(destDir, build.id);
	if (existsSync(target)) return target;
	await mkdir(destDir, { recursive: true });
	const temporary = join(destDir, `.import-${build.id}`);
	await removeTree(temporary);
	const [source, destination] = await Promise.all([stat(build.path), stat(destDir)]);
	const links = source.dev === destination.dev ? ["--link"] : [];
	try {
		await run(["cp", "-a", ...links, "--", build.path, temporary], { signal });
		await syncFilesystem(temporary, signal);
		await rename(temporary, target);
		await syncFilesystem(destDir, signal);
		return target;
	} catch (error) {
		await removeTree(temporary);
		throw error;
	}
}
