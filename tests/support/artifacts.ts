import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export interface PauseImage {
	readonly createdAt: string;
	readonly files: readonly { readonly name: string; readonly size: number }[];
}

/** Manifest of a paused sandbox's image, read from the data directory. @throws Error when there is none */
export async function pauseImage(dataDir: string, sandboxId: string): Promise<PauseImage> {
	const dir = join(dataDir, "artifacts");
	for (const name of await readdir(dir)) {
		const text = await readFile(join(dir, name, "manifest.json"), "utf8").catch(() => "{}");
		const manifest = JSON.parse(text);
		if (manifest.kind === "pause" && manifest.source?.sandboxId === sandboxId) return manifest;
	}
	throw new Error(`no image of ${sandboxId} in ${dir}`);
}
