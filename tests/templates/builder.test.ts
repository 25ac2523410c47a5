import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { buildRootfs, digestIngredients, type Ingredients } from "../../src/node/index.ts";

/** A build that is cut off while packages are being unpacked: the longest step, with mounts and many processes. */

const DOOR = fileURLToPath(new URL("../../src/node/index.ts", import.meta.url));
const UNPACKED_WITHIN_MS = 120_000;
let directory: string;
let cacheDir: string;
let ingredients: Ingredients;

beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "offshoot-builder-"));
	cacheDir = join(directory, "cache");
	const agentTree = join(directory, "agent");
	await mkdir(agentTree);
	ingredients = await digestIngredients({ nodeBinary: process.execPath, agentTree }, new AbortController().signal);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function options() {
	return { template: "base", cacheDir, ingredients, onProgress: () => {} } as const;
}

async function unpackingStarted(): Promise<void> {
	const isUnpacking = async () => {
		const builds = await readdir(join(cacheDir, "rootfs-tmp")).catch(() => []);
		return builds.some((name) => existsSync(join(cacheDir, "rootfs-tmp", name, "bundle/tree/usr/bin")));
	};
	await vi.waitFor(async () => expect(await isUnpacking()).toBe(true), { timeout: UNPACKED_WITHIN_MS, interval: 200 });
}

/** Programs that work on the cache, this process aside; zombies have no command line any more. */
async function buildPrograms(): Promise<readonly string[]> {
	const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
	const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
	return lines.filter((line) => line.includes(cacheDir));
}

async function mountsOfBuilds(): Promise<readonly string[]> {
	return (await readFile("/proc/self/mounts", "utf8")).split("\n").filter((line) => line.includes(cacheDir));
}

test("an aborted build leaves no program, mount or file", async () => {
	const controller = new AbortController();
	const building = buildRootfs(options(), controller.signal);
	building.catch(() => {});
	await unpackingStarted();
	const reason = new Error("interrupted");
	controller.abort(reason);
	await expect(building).rejects.toBe(reason);
	expect(await readdir(join(cacheDir, "rootfs-tmp"))).toEqual([]);
	expect(existsSync(join(cacheDir, "rootfs-layers"))).toBe(false);
	expect(await mountsOfBuilds()).toEqual([]);
	await vi.waitFor(async () => expect(await buildPrograms()).toEqual([]), { timeout: 5_000 });
});

test("the programs of a killed builder end with it, and the next one removes what it left", async () => {
	const program = join(directory, "builder.ts");
	await writeFile(
		program,
		`import { buildRootfs } from ${JSON.stringify(DOOR)};
		const options = ${JSON.stringify(options())};
		await buildRootfs({ ...options, onProgress: () => {} }, new AbortController().signal);`,
	);
	const builder = spawn(process.execPath, [program], { stdio: "ignore" });
	await unpackingStarted();
	const [left = ""] = await readdir(join(cacheDir, "rootfs-tmp"));
	builder.kill("SIGKILL");
	await vi.waitFor(async () => expect(await buildPrograms()).toEqual([]), { timeout: 10_000 });
	expect(await mountsOfBuilds()).toEqual([]);
	expect(existsSync(join(cacheDir, "rootfs-tmp", left))).toBe(true);

	const controller = new AbortController();
	const next = buildRootfs({ ...options(), onProgress: () => controller.abort() }, controller.signal);
	await expect(next).rejects.toMatchObject({ name: "AbortError" });
	expect(existsSync(join(cacheDir, "rootfs-tmp", left))).toBe(false);
});
