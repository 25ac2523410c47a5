import { readdir } from "node:fs/promises";
import { posix } from "node:path";

/**
 * Paths below a directory, each directory before what is in it, names in the order of their bytes. Links below the
 * root are not followed.
 * @param depth 1: only what is directly inside
 * @throws errno errors for the root; what vanishes meanwhile is left out
 */
export async function listPaths(root: string, depth: number): Promise<string[]> {
	const entries = await readdir(root, { withFileTypes: true });
	entries.sort((a, b) => compareBytes(a.name, b.name));
	const paths: string[] = [];
	for (const entry of entries) {
		const path = posix.join(root, entry.name);
		paths.push(path);
		if (depth <= 1 || !entry.isDirectory()) continue;
		const below = await listPaths(path, depth - 1).catch(() => []);
		for (const inside of below) paths.push(inside);
	}
	return paths;
}

function compareBytes(a: string, b: string): number {
	return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
