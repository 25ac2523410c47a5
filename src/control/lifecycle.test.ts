import { describe, expect, it } from "vitest";
import { OffshootError } from "../protocol/index.ts";
import { eventually, World } from "./testing/world.ts";
import type { Admission } from "./types.ts";

const signal = new AbortController().signal;
const conflict = { code: "conflict" };

describe.concurrent("create", () => {
	it("merges the template's environment under the request's and gives tokens as asked", async () => {
		await using world = await World.open();
		const open = await world.create({ secure: false, envs: { FROM: "request", MINE: "1" } });
		const guarded = await world.create({ network: { allowPublicTraffic: false } });
		expect(world.host.container({ sandboxId: open.sandboxId, incarnation: 1 })?.envs).toEqual({ FROM: "request", MINE: "1" });
		expect(open).toMatchObject({ accessToken: undefined, trafficToken: undefined, alias: "base", state: "running" });
		expect(guarded.accessToken).toMatch(/^[0-9a-f]{64}$/);
		expect(guarded.trafficToken).toMatch(/^[0-9a-f]{64}$/);
		expect(guarded.endAt.getTime() - guarded.startedAt.getTime()).toBe(300_000);
	});

	it.each([
		[{ timeout: 0 }, "Timeout must be greater than 0"],
		[{ timeout: 86_401 }, "Timeout cannot be greater than 24 hours"],
		[{ templateRef: "nosuch" }, "template 'nosuch' not found"],
		[{ templateRef: "local/nosuch:v1" }, "template 'local/nosuch' not found"],
		[{ templateRef: "base:v9" }, "tag 'v9' does not exist for template 'base'"],
	])("refuses %o with the clients' text", async (change, message) => {
		await using world = await World.open();
		await expect(world.create(change)).rejects.toMatchObject({ message });
		expect(world.host.containers.size).toBe(0);
	});

	it("leaves nothing when the node fails or the caller leaves", async () => {
		await using world = await World.open();
		world.faults.failAt("start:made", new Error("no memory"));
		await expect(world.create()).rejects.toMatchObject({ code: "internal", details: { errorCode: "sandbox_create_failed" } });
		world.faults.reset();
		const held = world.faults.holdAt("start:made");
		const caller = new AbortController();
		const created = world.control.createSandbox(world.team, world.request, caller.signal);
		await held.reached;
		caller.abort();
		held.release();
		await expect(created).rejects.toMatchObject({ name: "AbortError" });
		await world.checkInvariants();
		expect(await world.fleet.sandboxes.living()).toEqual([]);
	});

	it("counts a burst of creates and resumes against the team's limit, but no paused sandbox", async () => {
		await using world = await World.open({ maxConcurrent: 2 });
		const results = await Promise.allSettled([world.create(), world.create(), world.create()]);
		expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(2);
		expect(results[2]).toMatchObject({ reason: { code: "too_many", httpStatus: 429 } });
		const [first] = await world.fleet.sandboxes.living();
		await world.pause(first?.id ?? "");
		await world.create();
		await expect(world.connect(first?.id ?? "")).rejects.toMatchObject({ code: "too_many" });
		await world.checkInvariants();
	});
});

describe.concurrent("pause and resume", () => {
	it("keeps id, token, environment and memory, and tells the edge after the state is visible", async () => {
		await using world = await World.open();
		const created = await world.create({ envs: { A: "1" }, network: { allowPublicTraffic: false } });
		await world.write(created.sandboxId, "hello");
		const seen: Promise<string>[] = [];
		world.control.onGone(({ sandboxId }) => {
			seen.push(world.get(sandboxId).then((view) => view.state));
		});
		await world.pause(created.sandboxId);
		expect(await Promise.all(seen)).toEqual(["paused"]);
		expect(world.gone).toEqual([{ sandboxId: created.sandboxId, incarnation: 1 }]);
		expect(world.host.containers.size).toBe(0);
		world.clock.advance(5_000);
		const { sandbox, resumed } = await world.connect(created.sandboxId, 60);
		expect(resumed).toBe(true);
		expect(sandbox).toMatchObject({ accessToken: created.accessToken, trafficToken: created.trafficToken, state: "running" });
		expect(sandbox.startedAt.getTime()).toBe(created.startedAt.getTime() + 5_000);
		expect(sandbox.endAt.getTime()).toBe(sandbox.startedAt.getTime() + 60_000);
		expect(world.host.container({ sandboxId: sandbox.sandboxId, incarnation: 2 })).toMatchObject({
			memory: ["hello"],
			accessToken: created.accessToken,
			envs: { FROM: "template", A: "1" },
		});
		await world.checkInvariants();
	});

	it("joins parallel pauses and refuses a later one", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await Promise.all([world.pause(sandboxId), world.pause(sandboxId), world.pause(sandboxId)]);
		await expect(world.pause(sandboxId)).rejects.toMatchObject(conflict);
		expect(world.faults.passed.filter((name) => name === "freeze")).toHaveLength(1);
	});

	it("holds requests and connects while it pauses, then acts on what came of it", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		const held = world.faults.holdAt("freeze:frozen");
		const paused = world.pause(sandboxId);
		await held.reached;
		const admitted = world.admit(sandboxId);
		const connected = world.connect(sandboxId);
		await expect(world.control.setTimeout(world.team, sandboxId, 60)).rejects.toMatchObject(conflict);
		await expect(world.snapshot(sandboxId)).rejects.toMatchObject(conflict);
		await expect(world.fork(sandboxId, 1)).rejects.toMatchObject(conflict);
		expect(await world.get(sandboxId)).toMatchObject({ state: "paused" });
		held.release();
		await paused;
		expect((await connected).resumed).toBe(true);
		expect((await admitted).kind).not.toBe("transitioning");
	});

	it("lets the sandbox run on when the capture fails, and when the pause can't be recorded", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.write(sandboxId, "kept");
		world.faults.failAt("freeze:published", new OffshootError("no_space", "the disk is full"));
		await expect(world.pause(sandboxId)).rejects.toMatchObject({ code: "no_space" });
		world.faults.failAt("transaction", new Error("database is locked"));
		await expect(world.pause(sandboxId)).rejects.toThrow("database is locked");
		await world.checkInvariants();
		expect(await world.admit(sandboxId)).toMatchObject({ kind: "proxy", incarnation: 1 });
		expect(world.gone).toEqual([]);
		await world.pause(sandboxId);
		expect(await world.memory(sandboxId)).toEqual(["kept"]);
	});

	it("stays paused with its image when the resume fails, and can be resumed later", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.write(sandboxId, "kept");
		await world.pause(sandboxId);
		world.faults.failAt("start:made", new Error("no slot"));
		await expect(world.connect(sandboxId)).rejects.toMatchObject({ code: "internal" });
		await world.checkInvariants();
		world.faults.failAt("transaction", new Error("database is locked"));
		await expect(world.connect(sandboxId)).rejects.toMatchObject({ code: "internal" });
		await world.checkInvariants();
		expect(await world.get(sandboxId)).toMatchObject({ state: "paused" });
		await world.connect(sandboxId);
		expect(await world.memory(sandboxId)).toEqual(["kept"]);
		expect((await world.row(sandboxId)).incarnation).toBe(4);
		await world.checkInvariants();
	});

	it("keeps the sandbox locked until a failed pause could be undone", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		let failures = 2;
		world.faults.hook = (name) => {
			if (name === "transaction") throw new Error("database is locked");
			if (name === "unfreeze" && failures-- > 0) throw new Error("engine is busy");
		};
		await expect(world.pause(sandboxId)).rejects.toThrow("database is locked");
		expect(await world.get(sandboxId)).toMatchObject({ state: "paused" });
		const admitted: Admission[] = [];
		const waiting = world.admit(sandboxId).then((admission) => admitted.push(admission));
		await eventually(() => {
			world.clock.advance(100);
			expect(admitted).toMatchObject([{ kind: "proxy", incarnation: 1 }]);
		});
		await waiting;
		await world.checkInvariants();
	});

	it("answers the old resume with a conflict when it runs", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		const resume = () => world.control.resumeSandbox(world.team, sandboxId, { timeout: 15, memory: true }, signal);
		await expect(resume()).rejects.toMatchObject(conflict);
		await world.pause(sandboxId);
		const [a, b] = await Promise.all([resume(), resume()]);
		expect(a).toEqual(b);
		expect((await world.row(sandboxId)).incarnation).toBe(2);
	});
});
