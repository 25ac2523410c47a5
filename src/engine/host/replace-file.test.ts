import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { replaceFile, replaceFileSync } from "./replace-file.ts";

let dir: string;
let path: string;

beforeEach(async () => {
	dir = await mkdtemp(join(tmpdir(), "offshoot-replace-"));
	path = join(dir, "file");
});
afterEach(() => rm(dir, { recursive: true }));

test.each([
	["replaceFile", replaceFile],
	["replaceFileSync", replaceFileSync],
])("%s gives a new file of the mode asked for; whoever has the old one open still reads it", async (_name, replace) => {
	await writeFile(path, "old");
	const old = await open(path);
	await replace(path, "new", 0o600);
	expect(await readFile(path, "utf8")).toBe("new");
	expect((await stat(path)).mode & 0o777).toBe(0o600);
	expect(await old.readFile("utf8")).toBe("old");
	await old.close();
	expect(await readdir(dir)).toEqual(["file"]);
});

test.each([
	["replaceFile", replaceFile],
	["replaceFileSync", replaceFileSync],
])("%s that fails leaves what was there, and nothing else", async (_name, replace) => {
	await mkdir(path);
	await expect(async () => replace(path, "new", 0o600)).rejects.toThrow();
	expect(await readdir(dir)).toEqual(["file"]);
});
