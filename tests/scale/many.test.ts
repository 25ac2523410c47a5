import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Sandbox } from "e2b";
import { afterAll, beforeAll, expect, test } from "vitest";
import { containersOf, hostCounts } from "../support/host.ts";
import { campaignLength, campaignSeed } from "../support/random.ts";
import { until } from "../support/sandboxes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { Load, type LoadShape } from "./load.ts";
import { type MemoryProbe, type MemorySample, memoryProbe } from "./server-memory.ts";

let memory: MemoryProbe;
let server: TestServer;
beforeAll(async () => {
	memory = await memoryProbe();
	server = await startTestServer({ env: memory.env });
});
afterAll(() => server.destroy());

async function settled(): Promise<Record<string, number>> {
	const { instance } = await server.status();
	let last = "";
	await until("the pools to settle", async () => {
		const now = JSON.stringify(await hostCounts(instance));
		const same = now === last;
		last = now;
		await new Promise((resolve) => setTimeout(resolve, 500));
		return same;
	});
	return hostCounts(instance);
}

test("twenty sandboxes at once, then fifty cycles of snapshot, create and kill, leave the host as it was", async () => {
	// Slots are kept for reuse: the first wave makes as many as it needs, none of the later ones may add to them.
	const wave = async () => {
		const sandboxes = await Promise.all(Array.from({ length: 20 }, () => Sandbox.create("base", server.sdk)));
		const outputs = await Promise.all(sandboxes.map((sandbox, index) => sandbox.commands.run(`echo ${index}`)));
		expect(outputs.map((output) => output.stdout)).toEqual(sandboxes.map((_, index) => `${index}\n`));
		await Promise.all(sandboxes.map((sandbox) => sandbox.kill()));
	};
	await wave();
	const before = await settled();
	await wave();
	const source = await Sandbox.create("base", server.sdk);
	for (let cycle = 0; cycle < campaignLength(50, 300); cycle++) {
		const { snapshotId } = await source.createSnapshot();
		const child = await Sandbox.create(snapshotId, server.sdk);
		expect((await child.commands.run("echo alive")).stdout).toBe("alive\n");
		await child.kill();
		expect(await Sandbox.deleteSnapshot(snapshotId, server.sdk)).toBe(true);
	}
	await source.kill();
	expect(await settled()).toEqual(before);
}, 900_000);

const MB = 2 ** 20;
/** Heap that may differ between two idle moments of one server: caches, and what is logged of ended sandboxes. */
const FLAT_BYTES = 16 * MB;

function describe(what: string, { heap, external, resident, openFiles }: MemorySample): string {
	const mb = (bytes: number) => `${(bytes / MB).toFixed(1)} MB`;
	return `  server ${what}: heap ${mb(heap)}, external ${mb(external)}, resident ${mb(resident)}, ${openFiles} open files`;
}

/** Bytes that the host could still give. */
async function hostMemory(): Promise<number> {
	const [, kilobytes] = /^MemAvailable: +(\d+) kB$/m.exec(await readFile("/proc/meminfo", "utf8")) ?? [];
	return Number(kilobytes) * 1024;
}

/** Everything that a sandbox or a snapshot leaves on disk. */
async function artifacts(): Promise<readonly string[]> {
	return (await readdir(join(server.dataDir, "artifacts"))).sort();
}

/** Ids of all that live, as the API, the engine and the database tell it. */
async function accounts(): Promise<Record<"api" | "engine" | "database", string[]>> {
	const api: string[] = [];
	const pages = Sandbox.list(server.sdk);
	while (pages.hasNext) api.push(...(await pages.nextItems()).map(({ sandboxId }) => sandboxId));
	const { instance } = await server.status();
	const engine = (await containersOf(instance)).map(({ sandboxId }) => sandboxId);
	const database = new DatabaseSync(join(server.dataDir, "offshoot.db"), { readOnly: true });
	const rows = database.prepare("select id from sandboxes where state <> 'ended'").all();
	database.close();
	return { api: api.sort(), engine: engine.sort(), database: rows.map(({ id }) => String(id)).sort() };
}

test("clients that create, use, snapshot and kill for minutes meet no error, and leave server and host as they were", async () => {
	const shape: LoadShape = {
		alive: campaignLength(10, 100),
		clients: campaignLength(4, 20),
		seconds: campaignLength(15, 300),
	};
	const seed = campaignSeed();
	console.log(`load: OFFSHOOT_TEST_SEED=${seed}`);
	const load = new Load(shape, server.sdk, seed);
	const { pid } = await server.status();
	// Slots are kept for reuse, and code that ran once stays compiled: the first wave makes what it needs.
	const first = new Load({ ...shape, alive: shape.alive + shape.clients }, server.sdk, seed);
	await first.fill();
	await first.end();
	expect(first.errors).toEqual([]);
	const [hostBefore, artifactsBefore] = [await settled(), await artifacts()];
	const before = await memory.sample(pid);
	const report = [describe("before", before)];
	const freeBefore = await hostMemory();

	await load.fill();
	const each = (freeBefore - (await hostMemory())) / load.alive().length;
	report.push(`  a sandbox takes ${(each / MB).toFixed(1)} MB of the host's memory`);
	report.push(describe("full", await memory.sample(pid)));
	let minutes = 0;
	const everyMinute = setInterval(async () => {
		minutes += 1;
		report.push(describe(`after ${minutes} min`, await memory.sample(pid)));
	}, 60_000);
	await load.run().finally(() => clearInterval(everyMinute));
	const alive = load.alive();
	const found = await accounts();
	const used = await memory.sample(pid);
	report.push(describe("at the end, full", used));

	await load.end();
	const hostAfter = await settled();
	const after = await memory.sample(pid);
	report.push(describe("at the end, empty", after));
	console.log([load.report(), ...report].join("\n"));
	expect(load.errors).toEqual([]);
	expect(found).toEqual({ api: alive, engine: alive, database: alive });
	expect(await accounts()).toEqual({ api: [], engine: [], database: [] });
	expect(hostAfter).toEqual(hostBefore);
	expect(await artifacts()).toEqual(artifactsBefore);
	expect(after.heap - before.heap).toBeLessThan(FLAT_BYTES);
}, 1_800_000);

test("two instances live side by side, and `down` of one leaves the other untouched", async () => {
	const mine = await Sandbox.create("base", server.sdk);
	const neighbour = await startTestServer();
	const theirs = await Sandbox.create("base", neighbour.sdk);
	const { instance } = await neighbour.status();
	expect(instance).not.toBe((await server.status()).instance);
	const pid = (await mine.commands.run("sleep 1000", { background: true })).pid;
	expect((await theirs.commands.run("echo here")).stdout).toBe("here\n");
	await neighbour.destroy();
	expect(Object.values(await hostCounts(instance))).toEqual([0, 0, 0, 0, 0]);
	expect((await mine.commands.list()).map((process) => process.pid)).toContain(pid);
	await mine.kill();
}, 300_000);
