import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Manifest, openStore, readUsage } from "./index.ts";

let dataDir: string;
beforeEach(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "offshoot-store-"));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

const ID = "6f1c2c5e-7f6b-4e55-9d2c-0d8f6a1b2c3d";

function manifest(id = ID): Manifest {
	return {
		format: 2,
		kind: "snapshot",
		id,
		createdAt: new Date().toISOString(),
		rootfs: { id: "r", digest: "d" },
		engine: { version: "v", sha256: "s" },
		cpuFeatures: [],
		agent: { version: "1", controlProtocol: 1 },
		controlKey: "",
		generation: 0,
		envs: { A: "b" },
		resources: { cpuCount: 2, memoryMB: 512, diskSizeMB: 1024 },
		files: [{ name: "pages.img", size: 4 }],
		memoryBytes: 4,
		pauseMs: 1,
		memory: true,
	};
}

test("an artifact is invisible until it is published, then whole", async () => {
	const store = await openStore(dataDir);
	const staging = await store.stage(ID);
	await mkdir(staging.imageDir);
	await writeFile(join(staging.imageDir, "pages.img"), "page");
	expect(await store.open(ID)).toBeUndefined();
	expect(await store.list()).toEqual([]);

	await staging.publish(manifest(), { ociVersion: "1.0.2" });
	const found = await store.open(ID);
	expect(found?.manifest).toEqual({ ...manifest(), createdAt: found?.manifest.createdAt });
	expect(found?.spec).toEqual({ ociVersion: "1.0.2" });
	expect(await readdir(found?.imageDir ?? "")).toEqual(["pages.img"]);
	await expect(store.stage(ID)).rejects.toThrow("exists already");
});

test("what a crash left half made or half deleted is gone at the next start", async () => {
	const store = await openStore(dataDir);
	const staging = await store.stage(ID);
	await mkdir(staging.imageDir);
	await writeFile(join(staging.imageDir, "pages.img"), "half");
	await mkdir(join(dataDir, "artifacts/.staging/deleted-x"), { recursive: true });
	const next = await openStore(dataDir);
	expect(await next.list()).toEqual([]);
	expect(await readdir(join(dataDir, "artifacts/.staging"))).toEqual([]);
});

test("deleting twice is no error, and an id cannot leave the directory", async () => {
	const store = await openStore(dataDir);
	const staging = await store.stage(ID);
	await mkdir(staging.imageDir);
	await staging.publish(manifest(), {});
	await store.remove(ID);
	await store.remove(ID);
	expect(await store.open(ID)).toBeUndefined();
	await expect(store.remove("../../../../etc/passwd/xxxxxxxxxxxxxxxxx")).rejects.toThrow("no artifact id");
});

test("a manifest with a wrong field is refused by name", async () => {
	const store = await openStore(dataDir);
	await mkdir(join(dataDir, "artifacts", ID));
	await writeFile(join(dataDir, "artifacts", ID, "manifest.json"), JSON.stringify({ ...manifest(), memoryBytes: -1 }));
	await writeFile(join(dataDir, "artifacts", ID, "spec.json"), "{}");
	await expect(store.open(ID)).rejects.toThrow("/memoryBytes");
});

test("a manifest of the first format, which knew images of memory only, is read as one", async () => {
	const store = await openStore(dataDir);
	const { memory, ...first } = manifest();
	await mkdir(join(dataDir, "artifacts", ID));
	await writeFile(join(dataDir, "artifacts", ID, "manifest.json"), JSON.stringify({ ...first, format: 1 }));
	await writeFile(join(dataDir, "artifacts", ID, "spec.json"), "{}");
	const found = await store.open(ID);
	expect(found?.manifest).toEqual({ ...manifest(), createdAt: found?.manifest.createdAt, memory });
});

test("a root filesystem is registered once and shares its files with the source", async () => {
	const source = join(dataDir, "source");
	await mkdir(source);
	await writeFile(join(source, "file"), "content");
	const store = await openStore(dataDir);
	const rootfs = { id: "base-1", digest: "abc", path: source };
	const added = await store.addRootfs(rootfs, AbortSignal.timeout(10_000));
	expect(added).toMatchObject({ id: "base-1", digest: "abc" });
	expect(await readdir(added.path)).toEqual(["file"]);
	expect(await store.addRootfs(rootfs, AbortSignal.timeout(10_000))).toEqual(added);
	await store.pruneRootfs(new Set(["base-1"]));
	expect(await readdir(added.path)).toEqual(["file"]);
	await store.pruneRootfs(new Set());
	await expect(store.rootfs("base-1")).rejects.toThrow("is missing");
});

test("the use of the disk is told by kind, of published artifacts only", async () => {
	const store = await openStore(dataDir);
	const staging = await store.stage(ID);
	await mkdir(staging.imageDir);
	await writeFile(join(staging.imageDir, "pages.img"), Buffer.alloc(100_000, 1));
	expect((await readUsage(dataDir)).snapshot).toEqual({ count: 0, bytes: 0 });
	await staging.publish(manifest(), {});
	const usage = await readUsage(dataDir);
	expect(usage).toMatchObject({ snapshot: { count: 1 }, pause: { count: 0, bytes: 0 }, template: { count: 0, bytes: 0 } });
	expect(usage.snapshot.bytes).toBeGreaterThanOrEqual(100_000);
	await store.remove(ID);
	expect((await readUsage(dataDir)).snapshot).toEqual({ count: 0, bytes: 0 });
});
