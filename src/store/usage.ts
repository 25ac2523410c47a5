import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type ArtifactKind, parseManifest } from "./manifest.ts";

/** What the artifacts of a data directory are, and the disk they take; read from the files alone, also without a server. */
export type StoreUsage = Readonly<Record<ArtifactKind, KindUsage>>;

export interface KindUsage {
	readonly count: number;
	/** What the disk holds of them: an image's holes take nothing. */
	readonly bytes: number;
}

const ARTIFACTS = "artifacts";
/** Of stat's unit: https://man7.org/linux/man-pages/man3/stat.3type.html */
const BLOCK_BYTES = 512;

/** Changes nothing. Artifacts that go meanwhile are left out. @throws Error when the directory cannot be read */
export async function readUsage(dataDir: string): Promise<StoreUsage> {
	const usage = { template: none(), snapshot: none(), pause: none() };
	for (const name of await readdir(join(dataDir, ARTIFACTS))) {
		const dir = join(dataDir, ARTIFACTS, name);
		const path = join(dir, "manifest.json");
		// Without a manifest it is no artifact yet, or none any more.
		const text = await readFile(path, "utf8").catch(() => undefined);
		if (text === undefined) continue;
		const entry = usage[parseManifest(text, path).kind];
		entry.count += 1;
		entry.bytes += await bytesBelow(dir);
	}
	return usage;
}

function none(): { count: number; bytes: number } {
	return { count: 0, bytes: 0 };
}

async function bytesBelow(dir: string): Promise<number> {
	const names = await readdir(dir, { recursive: true }).catch(() => []);
	const sizes = await Promise.all(
		names.map((name) =>
			lstat(join(dir, name)).then(
				({ blocks }) => blocks * BLOCK_BYTES,
				() => 0,
			),
		),
	);
	return sizes.reduce((sum, bytes) => sum + bytes, 0);
}
