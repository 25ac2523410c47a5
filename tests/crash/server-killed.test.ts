import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { Sandbox } from "e2b";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostTraces } from "../support/host.ts";
import { campaignLength, campaignSeed, pick, seededRandom } from "../support/random.ts";
import { type Answer, restAt } from "../support/rest.ts";
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

interface KeyedRequest {
	readonly path: string;
	readonly key: string;
	readonly body: object;
}

interface Known {
	/** Sandboxes that were acknowledged as running, with the pid of a process that must live on. */
	readonly running: Map<string, number>;
	readonly paused: Map<string, number>;
	/** Snapshots that were acknowledged. */
	readonly snapshots: Set<string>;
	/** What this round asked for with a key. */
	keyed: KeyedRequest | undefined;
	readonly random: () => number;
}

const KILLS = campaignLength(40, 300);

type Operation = (known: Known) => Promise<void>;

const OPERATIONS: Readonly<Record<string, Operation>> = {
	async create(known) {
		const key = randomUUID();
		const request = { path: "/v2/sandboxes", key, body: { templateID: "base", timeout: 3600, metadata: { key } } };
		known.keyed = request;
		const { status, body } = await send(request);
		if (status === 201) known.running.set(body.sandboxID, 0);
	},
	async snapshot(known) {
		const [id] = pickRunning(known);
		const request = { path: `/sandboxes/${id}/snapshots`, key: randomUUID(), body: {} };
		known.keyed = request;
		const { status, body } = await send(request);
		if (status === 201) known.snapshots.add(body.snapshotID);
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

function send({ path, key, body }: KeyedRequest): Promise<Answer> {
	return restAt(server.url, "POST", path, body, { "X-API-KEY": server.apiKey, "Idempotency-Key": key });
}

/**
 * Sends the round's request with its key again, as a client does that got no answer: one sandbox or snapshot must have
 * come of both, the one that was acknowledged if there was an answer.
 */
async function repeatKeyed(known: Known, before: { running: Set<string>; snapshots: Set<string> }): Promise<void> {
	const request = known.keyed;
	known.keyed = undefined;
	if (request === undefined) return;
	const acknowledged = [...known.running.keys(), ...known.snapshots].filter(
		(id) => !before.running.has(id) && !before.snapshots.has(id),
	);
	const body = await answered(request);
	const made: string = body.sandboxID ?? body.snapshotID;
	if (acknowledged.length > 0) expect([made]).toEqual(acknowledged);
	if (body.snapshotID !== undefined) {
		known.snapshots.add(made);
		// The campaign deletes what it checked: all that is there was made in this round.
		const listed = await Sandbox.listSnapshots(server.sdk).nextItems();
		expect(listed.map(({ snapshotId }) => snapshotId)).toEqual([made]);
		return;
	}
	known.running.set(made, 0);
	const listed = await Sandbox.list({ ...server.sdk, query: { metadata: { key: request.key } } }).nextItems();
	expect(listed.map(({ sandboxId }) => sandboxId)).toEqual([made]);
}

/** The request's answer, when what a request before it had left is in order. */
async function answered(request: KeyedRequest): Promise<Answer["body"]> {
	for (;;) {
		const { status, body, headers } = await send(request);
		if (status === 201) return body;
		expect(headers.get("should-retry"), `${status} ${JSON.stringify(body)}`).toBe("true");
		await new Promise((resolve) => setTimeout(resolve, 200));
	}
}

function pickRunning(known: Known): [string, number] {
	const [first] = [...known.running].sort(() => known.random() - 0.5);
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
	const known: Known = { running: new Map(), paused: new Map(), snapshots: new Set(), keyed: undefined, random };
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
		const before = { running: new Set(known.running.keys()), snapshots: new Set(known.snapshots) };
		const operation = OPERATIONS[name]?.(known).catch(() => {});
		await new Promise((resolve) => setTimeout(resolve, delay));
		await server.killHard();
		await operation;
		await server.start();
		try {
			await repeatKeyed(known, before);
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

test("end times are kept over a server's death, those that came meanwhile too", async () => {
	const short = { ...server.sdk, timeoutMs: 1_000 };
	const [ending, pausing, later] = await Promise.all([
		Sandbox.create("base", short),
		Sandbox.create("base", { ...short, lifecycle: { onTimeout: "pause" } }),
		Sandbox.create("base", { ...server.sdk, timeoutMs: 3_600_000 }),
	]);
	await later.setTimeout(4_000);
	const due = (await later.getInfo()).endAt.getTime();
	await server.killHard();
	await new Promise((resolve) => setTimeout(resolve, 1_000));
	await server.start();
	await until("the first to be gone", async () => !(await ending.isRunning()));
	await until("the second to be paused", async () => (await pausing.getInfo()).state === "paused");
	await until("the third to be gone", async () => !(await later.isRunning()));
	expect(Date.now()).toBeGreaterThanOrEqual(due);
	await pausing.kill();
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
