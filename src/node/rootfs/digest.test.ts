import { execFile } from "node:child_process";
import { appendFile, chmod, mkdir, mkdtemp, rename, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { treeDigest } from "./digest.ts";

const { signal } = new AbortController();
let directory: string;
let tree: string;

beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "offshoot-digest-"));
	tree = join(directory, "tree");
	await mkdir(join(tree, "usr/bin"), { recursive: true });
	await writeFile(join(tree, "usr/bin/tool"), "first");
	await writeFile(join(tree, "usr/bin/other"), "second");
	await writeFile(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])]), "a name that is no UTF-8");
	await symlink("usr/bin", join(tree, "bin"));
});

afterEach(() => rm(directory, { recursive: true }));

test("a copy and a hard-linked copy have the digest of the original, at any time", async () => {
	const original = await treeDigest(tree, signal);
	for (const flags of ["-r", "-al"]) {
		const copy = join(directory, `copy${flags}`);
		await promisify(execFile)("cp", [flags, tree, copy]);
		await utimes(join(copy, "usr/bin/tool"), 1, 1);
		expect(await treeDigest(copy, signal)).toBe(original);
	}
});

test.each<[string, () => Promise<unknown>]>([
	["content of the same length", () => writeFile(join(tree, "usr/bin/tool"), "fIrst")],
	["length", () => appendFile(join(tree, "usr/bin/tool"), "\0")],
	["mode", () => chmod(join(tree, "usr/bin/tool"), 0o4755)],
	["mode of a directory", () => chmod(join(tree, "usr"), 0o700)],
	["mode of the root", () => chmod(tree, 0o700)],
	["name", () => rename(join(tree, "usr/bin/tool"), join(tree, "usr/bin/tool2"))],
	["place", () => rename(join(tree, "usr/bin/tool"), join(tree, "usr/tool"))],
	["an empty directory", () => mkdir(join(tree, "usr/lib"))],
	["link target", () => rm(join(tree, "bin")).then(() => symlink("usr/sbin", join(tree, "bin")))],
	[
		"a link in place of an equal file",
		() => rm(join(tree, "usr/bin/other")).then(() => symlink("tool", join(tree, "usr/bin/other"))),
	],
	["a hole where a byte was", () => truncate(join(tree, "usr/bin/tool"), 4)],
])("a change of %s changes the digest", async (_what, change) => {
	const before = await treeDigest(tree, signal);
	await change();
	expect(await treeDigest(tree, signal)).not.toBe(before);
});

test("two files that exchange their contents change the digest", async () => {
	const before = await treeDigest(tree, signal);
	await writeFile(join(tree, "usr/bin/tool"), "second");
	await writeFile(join(tree, "usr/bin/other"), "first");
	expect(await treeDigest(tree, signal)).not.toBe(before);
});

test("an abort ends it with the signal's reason", async () => {
	const reason = new Error("enough");
	await expect(treeDigest(tree, AbortSignal.abort(reason))).rejects.toBe(reason);
});
