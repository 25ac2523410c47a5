/**
 * Finished trees by content, in a directory that other parts of the server use as well:
 *
 *     rootfs/<id>/{tree,rootfs.json}         what sandboxes start from
 *     rootfs-layers/<id>/{tree,layer.json}   a template without the agent
 *     rootfs-tmp/                            what is being made
 *     rootfs.lock                            held while something is made
 *
 * A tree appears under its id complete, durable and with its digest, or not at all: it is made in `rootfs-tmp/`, flushed,
 * and renamed. Published trees never change; they may share files through hard links. What a crash leaves, and what nobody
 * has used for two weeks, is removed by the next builder, which holds the lock.
 */
import { mkdir, mkdtemp, readdir, readFile, rename, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Static, Type } from "typebox";
import { Value } from "typebox/value";
import { OffshootError } from "../../protocol/index.ts";
import { treeDigest } from "./digest.ts";
import { run } from "./run.ts";

export type TreeKind = "rootfs" | "rootfs-layers";

export interface CachedTree {
	readonly id: string;
	/** Directory of the tree. */
	readonly path: string;
	readonly digest: string;
}

/** Where one tree is made. */
export interface Workshop {
	/** To be created and filled by the builder. */
	readonly tree: string;
	/** For anything else; removed afterwards. */
	readonly scratch: string;
}

const RECORD = { rootfs: "rootfs.json", "rootfs-layers": "layer.json" } as const;
const KINDS: readonly TreeKind[] = ["rootfs", "rootfs-layers"];
const TEMPORARY = "rootfs-tmp";
/** Longer than anybody is away from a machine of daily use; what is removed too early is made again. */
const UNUSED_MS = 14 * 24 * 3600 * 1000;
const Record = Type.Object({ id: Type.String(), digest: Type.String({ pattern: "^[0-9a-f]{64}$" }) });

/** The tree with this id, or undefined when it was never finished. */
export async function findTree(cacheDir: string, kind: TreeKind, id: string): Promise<CachedTree | undefined> {
	const directory = join(cacheDir, kind, id);
	const file = join(directory, RECORD[kind]);
	const text = await readFile(file, "utf8").catch(() => undefined);
	if (text === undefined) return undefined;
	const record = parseRecord(text);
	if (record?.id !== id) throw new OffshootError("internal", `${file} is damaged: remove ${directory} and start again`);
	await noteUse(directory);
	return { id, path: join(directory, "tree"), digest: record.digest };
}

function parseRecord(text: string): Static<typeof Record> | undefined {
	try {
		return Value.Decode(Record, JSON.parse(text));
	} catch {
		return undefined;
	}
}

/** Makes and publishes a tree. Whatever goes wrong, nothing of it stays. The caller holds the cache's lock. */
export async function makeTree(
	cacheDir: string,
	kind: TreeKind,
	id: string,
	fill: (workshop: Workshop) => Promise<void>,
	signal: AbortSignal,
): Promise<CachedTree> {
	await mkdir(join(cacheDir, TEMPORARY), { recursive: true });
	const temporary = await mkdtemp(join(cacheDir, TEMPORARY, `${id}-`));
	try {
		const bundle = join(temporary, "bundle");
		const tree = join(bundle, "tree");
		await mkdir(bundle);
		await fill({ tree, scratch: join(temporary, "scratch") });
		const digest = await treeDigest(tree, signal);
		await writeFile(join(bundle, RECORD[kind]), `${JSON.stringify({ id, digest }, null, "\t")}\n`);
		return await publish(cacheDir, kind, { id, digest }, bundle, signal);
	} finally {
		await removeTree(temporary);
	}
}

async function publish(
	cacheDir: string,
	kind: TreeKind,
	record: { id: string; digest: string },
	bundle: string,
	signal: AbortSignal,
): Promise<CachedTree> {
	const parent = join(cacheDir, kind);
	await mkdir(parent, { recursive: true });
	await syncFilesystem(bundle, signal);
	await rename(bundle, join(parent, record.id));
	await syncFilesystem(parent, signal);
	return { ...record, path: join(parent, record.id, "tree") };
}

/** Removes what builders that died have left. The caller holds the cache's lock. */
export async function sweepCache(cacheDir: string): Promise<void> {
	const left = await readdir(join(cacheDir, TEMPORARY)).catch(() => []);
	for (const name of left) await removeTree(join(cacheDir, TEMPORARY, name));
}

/** Removes trees that nobody uses any more: after a build, which has noted the layers it used. The caller holds the lock. */
export async function removeUnusedTrees(cacheDir: string): Promise<void> {
	for (const kind of KINDS) await removeUnused(join(cacheDir, kind));
}

/**
 * Keeps a directory of a cache for two more weeks. A new version of Offshoot makes new trees of a gigabyte and never asks
 * for the old ones again; several versions may share a cache, so none of them knows what the others need.
 */
export async function noteUse(directory: string): Promise<void> {
	const now = new Date();
	// A cache that cannot be written is used all the same.
	await utimes(directory, now, now).catch(() => undefined);
}

/** Removes the directories in `parent` that nobody has used for two weeks. */
export async function removeUnused(parent: string): Promise<void> {
	const oldest = Date.now() - UNUSED_MS;
	for (const name of await readdir(parent).catch(() => [])) {
		const path = join(parent, name);
		const found = await stat(path).catch(() => undefined);
		if (found?.isDirectory() && found.mtimeMs < oldest) await removePublished(path);
	}
}

/** Takes its name first: a crash in the middle must not leave half a tree where a whole one is looked for. */
async function removePublished(path: string): Promise<void> {
	const aside = `${path}.removed`;
	await removeTree(aside);
	await rename(path, aside).catch((error: NodeJS.ErrnoException) => {
		// Another process that shares the cache was faster.
		if (error.code !== "ENOENT") throw error;
	});
	await removeTree(aside);
}

/** Makes everything written so far on the filesystem of `path` durable. */
async function syncFilesystem(path: string, signal: AbortSignal): Promise<void> {
	await run(["sync", "--file-system", path], { signal });
}

/** Removes a tree, never what is mounted in it. Runs to its end even when the build was aborted. */
export async function removeTree(path: string): Promise<void> {
	await run(["rm", "-rf", "--one-file-system", "--", path], { signal: new AbortController().signal });
}
