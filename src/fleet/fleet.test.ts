import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Fleet, openFleet, type SandboxRecord } from "./index.ts";

let directory: string;
let path: string;
let fleet: Fleet;
const signal = new AbortController().signal;
const time = (seconds: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds));

beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "offshoot-fleet-"));
	path = join(directory, "data", "fleet.db");
	fleet = await openFleet({ path }, signal);
});

afterEach(async () => {
	await fleet.close();
	await rm(directory, { recursive: true });
});

async function addTemplate(id: string, alias?: string): Promise<void> {
	const teamId = fleet.defaultTeam.id;
	await fleet.templates.insert({
		id,
		teamId,
		kind: "snapshot",
		public: false,
		sourceSandboxId: "isource",
		createdAt: time(0),
	});
	if (alias) await fleet.templates.addAlias({ namespace: "local", alias, templateId: id, createdAt: time(0) });
}

async function addBuild(id: string, templateId: string, createdAt = time(0)): Promise<void> {
	await fleet.builds.insert({
		id,
		templateId,
		kind: "snapshot",
		resources: { cpuCount: 2, memoryMB: 512, diskSizeMB: 1024 },
		envdVersion: "0.6.13",
		parentBuildId: undefined,
		sourceSandboxId: "isource",
		rootfsId: "rootfs",
		sizeBytes: 5_000_000_000,
		memory: false,
		pauseMs: 31.5,
		engineVersion: "engine-1",
		envs: { A: "1" },
		createdAt,
	});
}

function sandbox(id: string, change: Partial<SandboxRecord> = {}): SandboxRecord {
	return {
		id,
		teamId: fleet.defaultTeam.id,
		templateId: "t1",
		artifactId: "b1",
		state: "running",
		incarnation: 1,
		operationId: undefined,
		pendingArtifactId: undefined,
		pauseArtifactId: undefined,
		pauseMode: undefined,
		agentUnresponsiveAtPause: false,
		nodeId: "node-1",
		address: "10.0.0.1",
		accessToken: "secret",
		trafficToken: undefined,
		envdVersion: "0.6.13",
		resources: { cpuCount: 2, memoryMB: 512, diskSizeMB: 1024 },
		envs: { A: "1" },
		metadata: {},
		network: undefined,
		allowInternetAccess: undefined,
		onTimeout: "kill",
		autoPauseMemory: true,
		autoResume: false,
		timeoutSeconds: 300,
		createdAt: time(0),
		startedAt: time(0),
		endAt: time(300),
		endedAt: undefined,
		endReason: undefined,
		revision: 0,
		...change,
	};
}

const add = (record: SandboxRecord) => fleet.transaction(({ sandboxes }) => sandboxes.insert(record));

describe("openFleet", () => {
	it("keeps everything over a reopen and makes the default team once", async () => {
		await addTemplate("t1", "mine");
		await addBuild("b1", "t1");
		const record = sandbox("i1", {
			metadata: { user: "ann" },
			network: { allowPublicTraffic: false, denyOut: ["0.0.0.0/0"], httpsPorts: [443] },
			allowInternetAccess: false,
			trafficToken: "traffic",
		});
		await add(record);
		const team = fleet.defaultTeam;
		await fleet.close();
		fleet = await openFleet({ path }, signal);
		expect(fleet.defaultTeam).toEqual(team);
		expect(await fleet.sandboxes.get("i1")).toEqual(record);
		expect(await fleet.builds.get("b1")).toMatchObject({ sizeBytes: 5_000_000_000, pauseMs: 31.5, envs: { A: "1" } });
		expect(await fleet.templates.byAlias("local", "mine")).toMatchObject({ id: "t1", kind: "snapshot", public: false });
	});

	it("writes ahead with full synchronisation and enforces foreign keys", async () => {
		const raw = new DatabaseSync(path);
		expect(raw.prepare("pragma journal_mode").get()).toEqual({ journal_mode: "wal" });
		raw.close();
		await expect(add(sandbox("i1"))).rejects.toThrow(/FOREIGN KEY/);
	});

	it("rolls a failed transaction back and serialises concurrent ones", async () => {
		const failed = fleet.transaction(async ({ teams }) => {
			await teams.create({ slug: "gone", name: "gone" });
			throw new Error("stop");
		});
		await expect(failed).rejects.toThrow("stop");
		await Promise.all(["a", "b", "c"].map((slug) => fleet.transaction(({ teams }) => teams.create({ slug, name: slug }))));
		expect(await fleet.teams.bySlug("gone")).toBeUndefined();
		expect(await fleet.teams.bySlug("c")).toBeDefined();
	});

	it("says which column is damaged", async () => {
		await addTemplate("t1");
		await addBuild("b1", "t1");
		await add(sandbox("i1"));
		const raw = new DatabaseSync(path);
		raw.exec(`update sandboxes set envs = '["x"]'`);
		raw.close();
		await expect(fleet.sandboxes.get("i1")).rejects.toThrow(/sandboxes.envs/);
	});
});

describe("keys", () => {
	it("finds a key by its value, stores only a digest, and forgets a revoked one", async () => {
		const { key, ...shown } = await fleet.keys.create({ teamId: fleet.defaultTeam.id, name: "first" });
		expect(key).toMatch(/^e2b_[0-9a-f]{40}$/);
		expect(await fleet.keys.find(key)).toEqual(shown);
		expect(await fleet.keys.find(`e2b_${"0".repeat(40)}`)).toBeUndefined();
		const raw = new DatabaseSync(path);
		expect(JSON.stringify(raw.prepare("select * from api_keys").all())).not.toContain(key.slice(4));
		raw.close();
		await fleet.keys.touch(shown, time(10));
		const used = await fleet.keys.find(key);
		expect(used).toMatchObject({ firstUsedAt: time(10), lastUsedAt: time(10) });
		expect(await fleet.keys.rename("another-team", shown.id, "x")).toBeUndefined();
		expect(await fleet.keys.rename(fleet.defaultTeam.id, shown.id, "second")).toMatchObject({ id: shown.id, name: "second" });
		expect(await fleet.keys.revoke("another-team", shown.id, time(20))).toBe(false);
		expect(await fleet.keys.revoke(fleet.defaultTeam.id, shown.id, time(20))).toBe(true);
		expect(await fleet.keys.revoke(fleet.defaultTeam.id, shown.id, time(21))).toBe(false);
		expect(await fleet.keys.find(key)).toBeUndefined();
		expect(await fleet.keys.list(fleet.defaultTeam.id)).toEqual([]);
		expect(await fleet.keys.ensure(key, { teamId: fleet.defaultTeam.id, name: "again" })).toBe(false);
		expect(await fleet.keys.find(key)).toBeUndefined();
	});
});

describe("sandboxes", () => {
	beforeEach(async () => {
		await addTemplate("t1");
		await addBuild("b1", "t1");
	});

	it("lets exactly one of two writers with the same belief win", async () => {
		const record = sandbox("i1");
		await add(record);
		const results = await Promise.all(
			["op-1", "op-2"].map((operationId) => fleet.sandboxes.compareAndSet("i1", record, { state: "pausing", operationId })),
		);
		expect(results.filter((result) => result !== undefined)).toHaveLength(1);
		expect(await fleet.sandboxes.get("i1")).toMatchObject({ state: "pausing", operationId: "op-1", revision: 1 });
	});

	it.each([
		["state", { state: "paused" }],
		["operation", { operationId: "other" }],
		["incarnation", { incarnation: 2 }],
		["node", { nodeId: "node-2" }],
	] as const)("refuses a write with another %s", async (_what, belief) => {
		const record = sandbox("i1");
		await add(record);
		expect(await fleet.sandboxes.compareAndSet("i1", { ...record, ...belief }, { state: "pausing" })).toBeUndefined();
		expect(await fleet.sandboxes.get("i1")).toEqual(record);
	});

	it("counts only sandboxes that have not ended as users of a template", async () => {
		await add(sandbox("i1", { state: "paused" }));
		expect(await fleet.sandboxes.isTemplateInUse("t1")).toBe(true);
		await fleet.sandboxes.end("i1", "killed", time(1));
		expect(await fleet.sandboxes.end("i1", "again", time(2))).toBeUndefined();
		expect(await fleet.sandboxes.isTemplateInUse("t1")).toBe(false);
		expect(await fleet.sandboxes.living()).toEqual([]);
	});

	it("pages through rows with equal times once each, in both orders", async () => {
		for (let n = 0; n < 9; n++) await add(sandbox(`i${n}`, { startedAt: time(Math.floor(n / 3)) }));
		const page = async (order: "asc" | "desc") => {
			const seen: string[] = [];
			let after: { startedAt: Date; id: string } | undefined;
			for (;;) {
				const rows = await fleet.sandboxes.list({
					teamId: fleet.defaultTeam.id,
					states: ["running"],
					metadata: {},
					startedAfter: undefined,
					templateId: undefined,
					order,
					limit: 2,
					after,
				});
				seen.push(...rows.map((row) => row.id));
				after = rows.at(-1);
				if (!after) return seen;
			}
		};
		expect(await page("desc")).toEqual(["i6", "i7", "i8", "i3", "i4", "i5", "i0", "i1", "i2"]);
		expect(await page("asc")).toEqual((await page("desc")).reverse());
	});

	it("matches all pairs of metadata", async () => {
		await add(sandbox("i1", { metadata: { a: "1", b: "2" } }));
		await add(sandbox("i2", { metadata: { a: "1" } }));
		const query = { teamId: fleet.defaultTeam.id, states: ["running"], startedAfter: undefined, templateId: undefined } as const;
		expect(await fleet.sandboxes.count({ ...query, metadata: { a: "1" } })).toBe(2);
		expect(await fleet.sandboxes.count({ ...query, metadata: { a: "1", b: "2" } })).toBe(1);
		expect(await fleet.sandboxes.count({ ...query, metadata: { a: "1", b: "1" } })).toBe(0);
		expect(await fleet.sandboxes.count({ ...query, teamId: "another", metadata: {} })).toBe(0);
	});
});

describe("templates", () => {
	it("keeps a build that a sandbox is based on after its tag moved, and buries the template whole", async () => {
		await addTemplate("t1", "mine");
		await addBuild("b1", "t1");
		await addBuild("b2", "t1", time(1));
		await fleet.templates.moveTag({ templateId: "t1", tag: "default", buildId: "b1", at: time(0) });
		await add(sandbox("i1"));
		await fleet.templates.moveTag({ templateId: "t1", tag: "default", buildId: "b2", at: time(1) });
		expect((await fleet.builds.byTag("t1", "default"))?.id).toBe("b2");
		expect(await fleet.builds.superseded("t1")).toEqual([]);
		await fleet.sandboxes.end("i1", "killed", time(2));
		expect(await fleet.builds.superseded("t1")).toEqual(["b1"]);
		expect([...(await fleet.templates.bury("t1", time(3)))].sort()).toEqual(["b1", "b2"]);
		expect(await fleet.templates.byAlias("local", "mine")).toBeUndefined();
		expect(await fleet.builds.livingIds()).toEqual(new Set());
		expect(await fleet.builds.get("b1")).toMatchObject({ deletedAt: time(3) });
	});
});
