import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findTree, makeTree, removeUnusedTrees, sweepCache } from "./cache.ts";
import { treeDigest } from "./digest.ts";

const { signal } = new AbortController();
let cache: string;

beforeEach(async () => {
	cache = await mkdtemp(join(tmpdir(), "offshoot-cache-"));
});
afterEach(() => rm(cache, { recursive: true }));

function make(id: string) {
	const fill = async ({ tree }: { tree: string }) => {
		await mkdir(tree);
		await writeFile(join(tree, "file"), id);
	};
	return makeTree(cache, "rootfs", id, fill, signal);
}

test("a tree is found under its id, with its digest, once it is finished", async () => {
	expect(await findTree(cache, "rootfs", "x-1")).toBeUndefined();
	const made = await make("x-1");
	expect(await findTree(cache, "rootfs", "x-1")).toEqual(made);
	expect(made.digest).toBe(await treeDigest(made.path, signal));
	expect(await findTree(cache, "rootfs-layers", "x-1")).toBeUndefined();
});

test("nothing stays of a tree that failed", async () => {
	const fill = async ({ tree }: { tree: string }) => {
		await mkdir(tree);
		throw new Error("broken");
	};
	await expect(makeTree(cache, "rootfs", "x-1", fill, signal)).rejects.toThrow("broken");
	expect(await findTree(cache, "rootfs", "x-1")).toBeUndefined();
	expect(await readdir(join(cache, "rootfs-tmp"))).toEqual([]);
});

test("what a builder that died has left is swept, finished trees are not", async () => {
	const made = await make("x-1");
	await mkdir(join(cache, "rootfs-tmp", "x-2-abc", "bundle", "tree"), { recursive: true });
	await sweepCache(cache);
	expect(await readdir(join(cache, "rootfs-tmp"))).toEqual([]);
	expect(existsSync(made.path)).toBe(true);
});

test("what nobody has asked for in weeks is removed, what somebody has is not", async () => {
	const weeksAgo = new Date(Date.now() - 15 * 24 * 3600 * 1000);
	for (const id of ["old-1", "used-1", "new-1"]) await make(id);
	for (const id of ["old-1", "used-1"]) await utimes(join(cache, "rootfs", id), weeksAgo, weeksAgo);
	await findTree(cache, "rootfs", "used-1");
	await removeUnusedTrees(cache);
	expect((await readdir(join(cache, "rootfs"))).sort()).toEqual(["new-1", "used-1"]);
});

test("a damaged record is reported with the directory to remove", async () => {
	await make("x-1");
	await writeFile(join(cache, "rootfs", "x-1", "rootfs.json"), "{");
	await expect(findTree(cache, "rootfs", "x-1")).rejects.toThrow(`remove ${join(cache, "rootfs", "x-1")}`);
});
