import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { identifyProcess } from "../../engine/index.ts";
import { awaitInstanceLock, instanceOwner, lockInstance } from "./instance-lock.ts";
import { ensureApiKey, ensureInstanceId, readApiKey, readInstanceId } from "./secrets.ts";
import { removeServerFile, requireServer, runningServer, writeServerFile } from "./server-file.ts";

let dataDir: string;

beforeEach(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "offshoot-instance-"));
});

afterEach(async () => {
	await rm(dataDir, { recursive: true, force: true });
});

/** Another process that owns the data directory. */
async function owner() {
	const module = JSON.stringify(join(import.meta.dirname, "instance-lock.ts"));
	const program = `import { lockInstance } from ${module};
		const lock = await lockInstance(${JSON.stringify(dataDir)}, { state: "starting" });
		console.log("owned");
		setInterval(() => lock, 1000);`;
	const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", program];
	const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
	await once(child.stdout, "data");
	return child;
}

describe("lock of a data directory", () => {
	test("a second owner is refused with the pid of the first, until that one is killed", async () => {
		const child = await owner();
		expect((await instanceOwner(dataDir))?.pid).toBe(child.pid);
		await expect(lockInstance(dataDir, { state: "starting" })).rejects.toThrow(
			`in use by process ${child.pid}, which is starting`,
		);

		child.kill("SIGKILL");
		using lock = await awaitInstanceLock(dataDir, { state: "stopping" }, AbortSignal.timeout(10_000));
		expect(lock).toBeDefined();
		expect((await instanceOwner(dataDir))?.pid).toBe(process.pid);
	});

	test("once released, nobody is the owner and another may be", async () => {
		(await lockInstance(dataDir, { state: "starting" }))[Symbol.dispose]();
		expect(await instanceOwner(dataDir)).toBeUndefined();
		(await lockInstance(dataDir, { state: "starting" }))[Symbol.dispose]();
	});
});

describe("an owner that starts", () => {
	test("tells others what it is about, and is not taken for a server or for none", async () => {
		using lock = await lockInstance(dataDir, { state: "starting" });
		lock.tell({ state: "starting", step: "Template base" });
		expect((await instanceOwner(dataDir))?.activity).toEqual({ state: "starting", step: "Template base" });
		await expect(requireServer(dataDir)).rejects.toThrow(/is starting \(Template base\).*FIX: wait/);
		lock.tell(undefined);
		expect((await instanceOwner(dataDir))?.activity).toBeUndefined();
	});
});

describe("server.json", () => {
	test("tells of a living server only", async () => {
		const self = identifyProcess(process.pid);
		if (self === undefined) throw new Error("this process is not in /proc");
		const file = { process: self, instanceId: "abc123", url: "http://127.0.0.1:1", startedAt: new Date().toISOString() };
		await writeServerFile(dataDir, file);
		expect(await runningServer(dataDir)).toEqual(file);

		await writeServerFile(dataDir, { ...file, process: { ...self, startTicks: "1" } });
		expect(await runningServer(dataDir)).toBeUndefined();
	});

	test.each(["", "{", "[]", '{"process":{}}'])("that holds %j is none", async (content) => {
		await writeFile(join(dataDir, "server.json"), content);
		expect(await runningServer(dataDir)).toBeUndefined();
		await removeServerFile(dataDir);
		await expect(requireServer(dataDir)).rejects.toThrow(/no server runs.*FIX:/);
	});
});

describe("instance id and API key", () => {
	test("are made once and stay", async () => {
		expect(await readInstanceId(dataDir)).toBeUndefined();
		const [id, key] = [await ensureInstanceId(dataDir), await ensureApiKey(dataDir)];
		expect(id).toMatch(/^[0-9a-f]{6}$/);
		expect(key).toMatch(/^e2b_[0-9a-f]{40}$/);
		expect([await ensureInstanceId(dataDir), await ensureApiKey(dataDir)]).toEqual([id, key]);
		expect(await readdir(dataDir)).toEqual(["instance", "key"]);
	});

	test("the key is for its owner's eyes only", async () => {
		await ensureApiKey(dataDir);
		expect((await stat(join(dataDir, "key"))).mode & 0o777).toBe(0o600);
	});

	test("a damaged one is an error, never silently replaced", async () => {
		await writeFile(join(dataDir, "key"), "e2b_xyz");
		await expect(ensureApiKey(dataDir)).rejects.toThrow(/damaged.*FIX:/);
		await expect(readApiKey(dataDir)).rejects.toThrow(/damaged/);
		expect(await readFile(join(dataDir, "key"), "utf8")).toBe("e2b_xyz");
	});
});
