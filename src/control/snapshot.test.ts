import { describe, expect, it } from "vitest";
import { facts } from "./testing/fake-node.ts";
import { BASE_ARTIFACT, World } from "./testing/world.ts";
import type { ForkResult, SandboxView, Team } from "./types.ts";

const signal = new AbortController().signal;
const NEXT_ARTIFACT = "22222222-2222-4222-8222-222222222222";

const remove = (world: World, ref: string, team: Team = world.team) => world.control.deleteTemplate(team, ref, signal);

async function otherTeam(world: World): Promise<Team> {
	return world.fleet.teams.create({ slug: "other", name: "other" });
}

function sandboxOf(result: ForkResult | undefined): SandboxView {
	if (!result || !("sandbox" in result)) throw new Error(`no fork: ${JSON.stringify(result)}`);
	return result.sandbox;
}

describe.concurrent("snapshots", () => {
	it("start sandboxes that diverge from each other and from the source, and outlive it", async () => {
		await using world = await World.open();
		const source = await world.create({ envs: { KEY: "source", OTHER: "1" } });
		await world.write(source.sandboxId, "x = 41");
		const { snapshotId, names } = await world.snapshot(source.sandboxId);
		expect(snapshotId).toMatch(/^[a-z0-9]{20}:default$/);
		expect(names).toEqual([]);
		await world.write(source.sandboxId, "x = 42");
		await world.kill(source.sandboxId);
		const first = await world.create({ templateRef: snapshotId, envs: { KEY: "request" } });
		const second = await world.create({ templateRef: snapshotId });
		await world.write(first.sandboxId, "mine");
		expect(await world.memory(first.sandboxId)).toEqual(["x = 41", "mine"]);
		expect(await world.memory(second.sandboxId)).toEqual(["x = 41"]);
		expect(world.host.container({ sandboxId: first.sandboxId, incarnation: 1 })?.envs).toEqual({
			FROM: "template",
			KEY: "request",
			OTHER: "1",
		});
		expect(first.accessToken).not.toBe(source.accessToken);
		expect(`${first.templateId}:default`).toBe(snapshotId);
	});

	it("keep the source's environment to themselves when asked to", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create({ envs: { SECRET: "1" } });
		const { snapshotId } = await world.control.createSnapshot(
			world.team,
			sandboxId,
			{ name: undefined, memory: true, inheritEnv: false },
			signal,
		);
		const child = await world.create({ templateRef: snapshotId });
		expect(world.host.container({ sandboxId: child.sandboxId, incarnation: 1 })?.envs).toEqual({});
	});

	it("without a name are told apart by their tags", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		const { snapshotId, templateId } = await world.snapshot(sandboxId);
		await world.control.catalog.addTags(world.team, templateId, ["kept", "v1"]);
		const ids = await world.snapshots();
		expect(ids.toSorted()).toEqual([snapshotId, `${templateId}:kept`, `${templateId}:v1`]);
		for (const templateRef of ids) await world.create({ templateRef });
	});

	it("taken again under one name are builds of one template whose tag moves", async () => {
		await using world = await World.open();
		const source = await world.create();
		const first = await world.snapshot(source.sandboxId, "Mine");
		await world.write(source.sandboxId, "later");
		const second = await world.snapshot(source.sandboxId, "local/mine");
		const tagged = await world.snapshot(source.sandboxId, "mine:v2");
		expect(first).toMatchObject({ snapshotId: "local/mine:default", names: ["local/mine"] });
		expect(second.templateId).toBe(first.templateId);
		expect(tagged).toMatchObject({ snapshotId: "local/mine:v2", templateId: first.templateId });
		const child = await world.create({ templateRef: "mine" });
		expect(await world.memory(child.sandboxId)).toEqual(["later"]);
		expect(child.alias).toBe("mine");
		expect((await world.snapshots()).toSorted()).toEqual(["local/mine:default", "local/mine:v2"]);
		await expect(world.snapshot(source.sandboxId, "theirs/mine")).rejects.toMatchObject({ code: "invalid_request" });
	});

	it("know the snapshot that their source came from, also when that is deleted", async () => {
		await using world = await World.open();
		const source = await world.create();
		const parent = await world.snapshot(source.sandboxId);
		const child = await world.create({ templateRef: parent.snapshotId });
		const grandchild = await world.snapshot(child.sandboxId);
		expect(parent.parentSnapshotId).toBeUndefined();
		expect(grandchild).toMatchObject({ parentSnapshotId: parent.snapshotId, sourceSandboxId: child.sandboxId, pauseMs: 30 });
		await world.kill(child.sandboxId);
		await remove(world, parent.snapshotId);
		const query = { sandboxId: child.sandboxId, name: undefined, limit: 10, nextToken: undefined };
		const { items } = await world.control.listSnapshots(world.team, query);
		expect(items).toEqual([grandchild]);
	});

	it("refuse a paused source like one that is not there, and leave the source running when they fail", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		world.faults.failAt("capture:published", new Error("disk is full"));
		await expect(world.snapshot(sandboxId, "half")).rejects.toThrow("disk is full");
		world.faults.failAt("transaction", new Error("database is locked"));
		await expect(world.snapshot(sandboxId, "half")).rejects.toThrow("database is locked");
		expect(await world.snapshots()).toEqual([]);
		await world.checkInvariants();
		await world.pause(sandboxId);
		await expect(world.snapshot(sandboxId)).rejects.toMatchObject({
			code: "not_found",
			message: `Sandbox "${sandboxId}" doesn't exist or you don't have access to it`,
		});
	});

	it("can't be deleted while a running or paused sandbox is based on them, but right after its kill", async () => {
		await using world = await World.open();
		const source = await world.create();
		const { snapshotId } = await world.snapshot(source.sandboxId, "mine");
		const child = await world.create({ templateRef: snapshotId });
		const inUse = {
			code: "invalid_request",
			message: "cannot delete template 'local/mine' because there are running/paused sandboxes using it",
		};
		await expect(remove(world, snapshotId)).rejects.toMatchObject(inUse);
		await world.pause(child.sandboxId);
		await expect(remove(world, snapshotId)).rejects.toMatchObject(inUse);
		await world.kill(child.sandboxId);
		await remove(world, snapshotId);
		await expect(remove(world, snapshotId)).rejects.toMatchObject({ code: "not_found" });
		await expect(world.create({ templateRef: snapshotId })).rejects.toMatchObject({ code: "not_found" });
		await world.checkInvariants();
	});

	it("vanish when their caller leaves before they are recorded", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		const held = world.faults.holdAt("capture:published");
		const caller = new AbortController();
		const options = { name: "left", memory: true, inheritEnv: true };
		const snapshot = world.control.createSnapshot(world.team, sandboxId, options, caller.signal);
		await held.reached;
		caller.abort();
		held.release();
		await expect(snapshot).rejects.toMatchObject({ name: "AbortError" });
		expect(await world.snapshots()).toEqual([]);
		await world.checkInvariants();
	});

	it("deleted while a create is about to begin are not found by it", async () => {
		await using world = await World.open();
		const source = await world.create();
		const { snapshotId } = await world.snapshot(source.sandboxId);
		const reached = Promise.withResolvers<void>();
		const released = Promise.withResolvers<void>();
		let first = true;
		world.faults.hook = (name) => {
			if (name !== "transaction" || !first) return;
			first = false;
			reached.resolve();
			return released.promise;
		};
		const created = world.create({ templateRef: snapshotId });
		await reached.promise;
		await remove(world, snapshotId);
		released.resolve();
		await expect(created).rejects.toMatchObject({ code: "not_found" });
		await world.checkInvariants();
	});

	it("belong to one team", async () => {
		await using world = await World.open();
		const other = await otherTeam(world);
		const { sandboxId } = await world.create();
		const { snapshotId, templateId } = await world.snapshot(sandboxId, "mine");
		for (const ref of [snapshotId, templateId]) {
			const request = { ...world.request, templateRef: ref };
			await expect(world.control.createSandbox(other, request, signal)).rejects.toMatchObject({ code: "forbidden" });
			await expect(remove(world, ref, other)).rejects.toMatchObject({ code: "not_found" });
			await expect(world.control.templateAlias(other, ref.split(":")[0] ?? "")).rejects.toMatchObject({ code: "forbidden" });
		}
		const query = { sandboxId: undefined, name: undefined, limit: 10, nextToken: undefined };
		expect((await world.control.listSnapshots(other, query)).items).toEqual([]);
		await expect(
			world.control.createSnapshot(other, sandboxId, { name: undefined, memory: true, inheritEnv: true }, signal),
		).rejects.toMatchObject({
			code: "not_found",
		});
		await expect(remove(world, "base")).rejects.toMatchObject({ code: "forbidden" });
	});
});

describe.concurrent("snapshot lists", () => {
	it("page newest first and filter by source, name and tag", async () => {
		await using world = await World.open();
		const a = await world.create();
		const b = await world.create();
		const taken: string[] = [];
		for (const name of [undefined, "mine", "mine:v2", undefined, undefined]) {
			taken.push((await world.snapshot(name ? a.sandboxId : b.sandboxId, name)).snapshotId);
		}
		const list = async (change: { sandboxId?: string; name?: string; limit?: number }) => {
			const seen: string[] = [];
			let nextToken: string | undefined;
			do {
				const query = { sandboxId: undefined, name: undefined, limit: 2, ...change, nextToken };
				const page = await world.control.listSnapshots(world.team, query);
				seen.push(...page.items.map((item) => item.snapshotId));
				nextToken = page.nextToken;
			} while (nextToken);
			return seen;
		};
		expect((await list({})).toSorted()).toEqual(taken.toSorted());
		expect((await list({ sandboxId: a.sandboxId })).toSorted()).toEqual(["local/mine:default", "local/mine:v2"]);
		expect(await list({ name: "mine:default" })).toEqual(["local/mine:default"]);
		expect((await list({ name: "local/mine" })).toSorted()).toEqual(["local/mine:default", "local/mine:v2"]);
		expect(await list({ name: "nosuch" })).toEqual([]);
		await expect(list({ name: "theirs/mine" })).rejects.toMatchObject({ code: "invalid_request" });
	});
});

describe.concurrent("forks", () => {
	it("come from one capture, inherit all but identity, and leave no image behind", async () => {
		await using world = await World.open();
		const source = await world.create({
			metadata: { user: "ann" },
			envs: { A: "1" },
			autoPause: true,
			network: { allowPublicTraffic: false, denyOut: ["10.0.0.0/8"] },
		});
		await world.write(source.sandboxId, "shared");
		world.faults.reset();
		const results = await world.fork(source.sandboxId, 5, 60);
		expect(world.faults.passed.filter((name) => name === "capture")).toHaveLength(1);
		const forks = results.map(sandboxOf);
		expect(new Set([source, ...forks].map((fork) => fork.accessToken)).size).toBe(6);
		expect(new Set([source, ...forks].map((fork) => fork.trafficToken)).size).toBe(6);
		for (const fork of forks) {
			const { templateId, metadata, network, onTimeout } = source;
			expect(fork).toMatchObject({ templateId, metadata, network, onTimeout, state: "running" });
			expect(fork.endAt.getTime() - fork.startedAt.getTime()).toBe(60_000);
			expect(await world.memory(fork.sandboxId)).toEqual(["shared"]);
			expect(world.host.container({ sandboxId: fork.sandboxId, incarnation: 1 })?.envs).toEqual({ FROM: "template", A: "1" });
		}
		expect([...world.host.artifacts.keys()]).toEqual([BASE_ARTIFACT]);
		expect(await world.snapshots()).toEqual([]);
		expect(await world.get(source.sandboxId)).toEqual(source);
		await world.checkInvariants();
	});

	it("fail one by one", async () => {
		await using world = await World.open({ maxConcurrent: 3 });
		const { sandboxId } = await world.create();
		await world.create();
		const results = await world.fork(sandboxId, 2);
		expect(results.filter((result) => "sandbox" in result)).toHaveLength(1);
		expect(results.find((result) => "error" in result)).toMatchObject({ error: { code: 429 } });
		await expect(world.fork(sandboxId, 0)).rejects.toMatchObject({ message: "Count must be at least 1" });
		await expect(world.fork(sandboxId, 3)).rejects.toMatchObject({ code: "invalid_request" });
		await world.checkInvariants();
	});

	it("of a paused sandbox are refused in the clients' words", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.pause(sandboxId);
		await expect(world.fork(sandboxId, 1)).rejects.toMatchObject({
			code: "conflict",
			message: `Sandbox "${sandboxId}" is paused and cannot be forked; resume it first`,
		});
	});
});

describe.concurrent("templates of the platform", () => {
	it("move to a new artifact and keep the old one as long as a sandbox is based on it", async () => {
		await using world = await World.open();
		const old = await world.create();
		world.host.artifacts.set(NEXT_ARTIFACT, { facts: facts(NEXT_ARTIFACT), memory: ["new"], files: [] });
		const before = await world.control.templateAlias(world.team, "base");
		const { templateId } = await world.control.registerTemplate("base", facts(NEXT_ARTIFACT));
		expect(before).toEqual({ templateId, public: true });
		expect(await world.memory((await world.create()).sandboxId)).toEqual(["new"]);
		await world.pause(old.sandboxId);
		await world.connect(old.sandboxId);
		expect(world.host.artifacts.has(BASE_ARTIFACT)).toBe(true);
		await world.kill(old.sandboxId);
		await world.control.registerTemplate("base", facts(NEXT_ARTIFACT));
		expect(world.host.artifacts.has(BASE_ARTIFACT)).toBe(false);
		await world.checkInvariants();
	});

	it("give way to a team's own name", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.write(sandboxId, "own");
		await world.snapshot(sandboxId, "base");
		expect(await world.memory((await world.create({ templateRef: "base" })).sandboxId)).toEqual(["own"]);
		await world.control.templateAlias(world.team, "base:default");
		await expect(world.control.templateAlias(world.team, "base:nosuch")).rejects.toMatchObject({ code: "not_found" });
		await expect(world.control.templateAlias(world.team, "nosuch")).rejects.toMatchObject({ code: "not_found" });
	});
});
