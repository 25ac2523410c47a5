import { readdir, readFile } from "node:fs/promises";
import { Sandbox } from "e2b";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostTraces } from "../support/host.ts";
import { campaignLength, campaignSeed, pick, seededRandom } from "../support/random.ts";
import { until } from "../support/sandboxes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/**
 * The server is killed without warning in the middle of operations. What it had acknowledged must be there after a
 * restart, what it had not must be gone or whole, and nothing may be left on the host.
 */
let server: TestServer;
beforeAll(async () => {
	server = await startTestServer();
});
afterAll(() => server.destroy());

interface Known {
	/** Sandboxes that were acknowledged as running, with the pid of a process that must live on. */
	readonly running: Map<string, number>;
	readonly paused: Map<string, number>;
	/** Snapshots that were acknowledged. */
	readonly snapshots: Set<string>;
}

const KILLS = campaignLength(40, 300);

type Operation = (known: Known) => Promise<void>;

const OPERATIONS: Readonly<Record<string, Operation>> = {
	async create(known) {
		const sandbox = await Sandbox.create("base", { ...server.sdk, timeoutMs: 3_600_000 });
		known.running.set(sandbox.sandboxId, 0);
	},
	async snapshot(known) {
		const [id] = pickRunning(known);
		known.snapshots.add((await Sandbox.createSnapshot(id, server.sdk)).snapshotId);
	},
	async pause(known) {
		const [id, pid] = pickRunning(known);
		// Between request and answer it may be either: only its process and its files must survive.
		known.running.delete(id);
		known.paused.set(id, pid);
		await Sandbox.pause(id, server.sdk);
	},
	async resume(known) {
		const [id] = known.paused;
		if (id === undefined) return;
		await Sandbox.connect(id[0], { ...server.sdk, timeoutMs: 3_600_000 });
		known.paused.delete(id[0]);
		known.running.set(id[0], id[1]);
	},
	async fork(known) {
		const [id, pid] = pickRunning(known);
		const forks = await Sandbox.fork(id, { ...server.sdk, count: 2, timeoutMs: 3_600_000 });
		for (const fork of forks) if (!(fork instanceof Error)) known.running.set(fork.sandboxId, pid);
	},
};

function pickRunning(known: Known): [string, number] {
	const [first] = [...known.running].sort(() => Math.random() - 0.5);
	if (first === undefined) throw new Error("no sandbox is running");
	return first;
}

async function newWitness(known: Known): Promise<void> {
	const sandbox = await Sandbox.create("base", { ...server.sdk, timeoutMs: 3_600_000 });
	const process = await sandbox.commands.run("sleep 100000", { background: true, timeoutMs: 0 });
	known.running.set(sandbox.sandboxId, process.pid);
}

/** Everything that was acknowledged is there and works. */
async function checkKnown(known: Known): Promise<void> {
	for (const [id, pid] of [...known.running, ...known.paused]) {
		// Connecting wakes a paused one: whichever it is now, the sandbox must be reachable under its id.
		const sandbox = await Sandbox.connect(id, { ...server.sdk, timeoutMs: 3_600_000 });
		const pids = (await sandbox.commands.list()).map((process) => process.pid);
		if (pid !== 0) expect(pids, `processes of ${id}`).toContain(pid);
		known.paused.delete(id);
		known.running.set(id, pid);
	}
	const listed = new Set<string>();
	const paginator = Sandbox.listSnapshots(server.sdk);
	while (paginator.hasNext) for (const { snapshotId } of await paginator.nextItems()) listed.add(snapshotId);
	for (const id of known.snapshots) expect(listed, "acknowledged snapshots").toContain(id);
	for (const id of listed) {
		const clone = await Sandbox.create(id, server.sdk);
		expect((await clone.commands.run("echo whole")).stdout).toBe("whole\n");
		await clone.kill();
	}
	known.snapshots.clear();
	for (const id of listed) expect(await Sandbox.deleteSnapshot(id, server.sdk)).toBe(true);
}

async function allRunning(): Promise<string[]> {
	const found: string[] = [];
	const paginator = Sandbox.list({ ...server.sdk, query: { state: ["running"] } });
	while (paginator.hasNext) found.push(...(await paginator.nextItems()).map((sandbox) => sandbox.sandboxId));
	return found;
}

/** What the node has written down of its containers. */
async function containerRecords(instance: string): Promise<{ sandboxId: string; pid: number }[]> {
	const dir = `/run/offshoot/${instance}/containers`;
	const names = await readdir(dir);
	return Promise.all(names.map(async (name) => JSON.parse(await readFile(`${dir}/${name}`, "utf8"))));
}

/** Keeps the campaign small: the witnesses stay, the rest goes. */
async function trim(known: Known): Promise<void> {
	for (const [id] of [...known.running].slice(3)) {
		await Sandbox.kill(id, server.sdk);
		known.running.delete(id);
	}
}

test("SIGKILL in the middle of operations loses nothing acknowledged and leaks nothing", {
	timeout: 30_000 * KILLS,
	retry: 0,
}, async () => {
	const seed = campaignSeed();
	const random = seededRandom(seed);
	const known: Known = { running: new Map(), paused: new Map(), snapshots: new Set() };
	for (let index = 0; index < 3; index++) await newWitness(known);
	for (let round = 0; round < KILLS; round++) {
		const name = pick(random, Object.keys(OPERATIONS));
		const delay = random() * 200;
		if (name === "resume" && known.paused.size === 0) {
			const [id, pid] = pickRunning(known);
			await Sandbox.pause(id, server.sdk);
			known.running.delete(id);
			known.paused.set(id, pid);
		}
		// The operation may succeed, or fail because its server died: both are fine, losing something is not.
		const operation = OPERATIONS[name]?.(known).catch(() => {});
		await new Promise((resolve) => setTimeout(resolve, delay));
		await server.killHard();
		await operation;
		await server.start();
		try {
			await checkKnown(known);
		} catch (error) {
			throw new Error(`round ${round} (${name}, killed after ${delay.toFixed(0)} ms, seed ${seed})`, { cause: error });
		}
		await trim(known);
		if ((round + 1) % 25 === 0) console.log(`${round + 1} of ${KILLS} kills`);
	}
	console.log(`${KILLS} kills, seed ${seed}`);

	// A create whose answer its client never got may have happened: then it is listed, whole, for its owner to end.
	const listed = await allRunning();
	for (const id of known.running.keys()) expect(listed).toContain(id);
	const { instance } = await server.status();
	expect((await containerRecords(instance)).map((record) => record.sandboxId).sort()).toEqual(listed.sort());
	await server.cli("down");
	const traces = await hostTraces(instance);
	expect(traces).toEqual({ namespaces: [], links: [], tables: [], mounts: [], processes: [] });
	await server.start();
});

test("a killed sandbox process ends its row with a 404 and frees what it held", async () => {
	const sandbox = await Sandbox.create("base", server.sdk);
	const { instance } = await server.status();
	process.kill(await engineProcessOf(instance, sandbox.sandboxId), "SIGKILL");
	await until("the row to end", async () => !(await sandbox.isRunning()));
	await expect(Sandbox.getInfo(sandbox.sandboxId, server.sdk)).rejects.toThrow(sandbox.sandboxId);
	await until("its record to go", async () => (await engineProcessOf(instance, sandbox.sandboxId)) === 0);
});

async function engineProcessOf(instance: string, sandboxId: string): Promise<number> {
	return (await containerRecords(instance)).find((record) => record.sandboxId === sandboxId)?.pid ?? 0;
}
