import { describe, expect, it } from "vitest";
import { OffshootError } from "../protocol/index.ts";
import { eventually, World } from "./testing/world.ts";
import type { Admission } from "./types.ts";

const signal = new AbortController().signal;
const notFound = { code: "not_found" };
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
		const resume = () => world.control.resumeSandbox(world.team, sandboxId, 15, signal);
		await expect(resume()).rejects.toMatchObject(conflict);
		await world.pause(sandboxId);
		const [a, b] = await Promise.all([resume(), resume()]);
		expect(a).toEqual(b);
		expect((await world.row(sandboxId)).incarnation).toBe(2);
	});
});

describe.concurrent("kill", () => {
	it("is over for everyone when it returns, and the second one finds nothing", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.kill(sandboxId);
		await expect(world.kill(sandboxId)).rejects.toMatchObject({
			code: "not_found",
			message: `Sandbox "${sandboxId}" doesn't exist or you don't have access to it`,
		});
		await expect(world.get(sandboxId)).rejects.toMatchObject(notFound);
		expect(await world.admit(sandboxId)).toEqual({ kind: "not-found" });
		expect(world.gone).toEqual([{ sandboxId, incarnation: 1 }]);
		await world.checkInvariants();
	});

	it("succeeds although the node fails, and removes the container later", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		world.faults.failAt("remove", new Error("engine is busy"));
		await world.kill(sandboxId);
		expect(world.host.containers.size).toBe(1);
		await eventually(() => {
			world.clock.advance(1_000);
			expect(world.host.containers.size).toBe(0);
		});
	});

	it.each(["freeze:frozen", "freeze:published", "capture:published", "start:made", "transaction"])(
		"ends a sandbox whose operation is at %s, which then leaves nothing behind",
		async (point) => {
			await using world = await World.open();
			const { sandboxId } = await world.create();
			if (point === "start:made") await world.pause(sandboxId);
			world.faults.reset();
			const held = world.faults.holdAt(point);
			const operation = OPERATION_AT[point]?.(world, sandboxId) ?? Promise.reject(new Error("no such point"));
			const outcome = operation.then(
				() => "done",
				(error: unknown) => error,
			);
			await held.reached;
			world.faults.reset();
			const waiting = world.admit(sandboxId);
			const killed = world.kill(sandboxId);
			if (point !== "capture:published") expect(await waiting).toEqual({ kind: "not-found" });
			held.release();
			await killed;
			expect(await world.admit(sandboxId)).toEqual({ kind: "not-found" });
			expect(await outcome).toMatchObject(notFound);
			await world.checkInvariants();
			expect(await world.snapshots()).toEqual([]);
		},
	);
});

const OPERATION_AT: Readonly<Record<string, (world: World, id: string) => Promise<unknown>>> = {
	"freeze:frozen": (world, id) => world.pause(id),
	"freeze:published": (world, id) => world.pause(id),
	"capture:published": (world, id) => world.snapshot(id, "named"),
	"start:made": (world, id) => world.connect(id),
	transaction: (world, id) => world.pause(id),
};

describe.concurrent("exits", () => {
	it("ends a running sandbox with the node's reason, whatever incarnation an old report names", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.pause(sandboxId);
		await world.connect(sandboxId);
		world.node.crash({ sandboxId, incarnation: 1 }, "late report");
		world.node.crash({ sandboxId, incarnation: 2 }, "out of memory");
		await eventually(async () => expect((await world.row(sandboxId)).endReason).toBe("out of memory"));
		expect(world.gone.at(-1)).toEqual({ sandboxId, incarnation: 2 });
		await world.checkInvariants();
	});

	it("ends a sandbox that crashed between answering and being recorded", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.pause(sandboxId);
		const held = world.faults.holdAt("transaction");
		const connected = world.connect(sandboxId);
		await held.reached;
		world.node.crash({ sandboxId, incarnation: 2 }, "crashed");
		held.release();
		await connected;
		await eventually(async () => expect((await world.row(sandboxId)).state).toBe("ended"));
		await world.checkInvariants();
	});

	it("ends a sandbox that crashed while it was captured, and its snapshot fails", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		const held = world.faults.holdAt("capture");
		const snapshot = world.snapshot(sandboxId).catch((error: unknown) => error);
		await held.reached;
		world.node.crash({ sandboxId, incarnation: 1 }, "crashed");
		held.release();
		expect(await snapshot).toBeInstanceOf(Error);
		await eventually(async () => expect((await world.row(sandboxId)).state).toBe("ended"));
		await world.checkInvariants();
	});
});

describe.concurrent("close", () => {
	it("waits for what is under way, refuses what comes, and leaves sandboxes to the next server", async () => {
		const world = await World.open();
		const { sandboxId } = await world.create();
		const held = world.faults.holdAt("freeze:frozen");
		const paused = world.pause(sandboxId);
		await held.reached;
		const closed = world.control.close();
		await expect(world.create()).rejects.toMatchObject({ code: "busy" });
		held.release();
		await Promise.all([paused, closed]);
		await world.crashAndStart();
		await world.connect(sandboxId);
		await world.checkInvariants();
		await world[Symbol.asyncDispose]();
	});

	it("ends running sandboxes for good on request, and keeps paused ones", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		const kept = await world.create();
		await world.pause(kept.sandboxId);
		expect(await world.control.endRunning("the server was taken down", signal)).toBe(1);
		expect((await world.row(sandboxId)).endReason).toBe("the server was taken down");
		expect(await world.get(kept.sandboxId)).toMatchObject({ state: "paused" });
		await world.checkInvariants();
	});
});

describe.concurrent("a start of the server", () => {
	it("adopts what runs, under its new address if it has one, and removes what nobody knows", async () => {
		await using world = await World.open();
		const created = await world.create();
		const moved = world.host.container({ sandboxId: created.sandboxId, incarnation: 1 });
		if (!moved) throw new Error("no container");
		world.host.containers.set(`${created.sandboxId}-1`, { ...moved, address: "10.9.9.9" });
		world.host.containers.set("istranger-1", { ...moved, sandboxId: "istranger", incarnation: 1 });
		world.host.containers.set(`${created.sandboxId}-7`, { ...moved, incarnation: 7 });
		await world.crashAndStart();
		expect(await world.get(created.sandboxId)).toEqual(created);
		expect(await world.admit(created.sandboxId)).toMatchObject({ kind: "proxy", address: "10.9.9.9" });
		await world.checkInvariants();
	});

	it("ends running sandboxes with a reason after the host was restarted; paused ones and snapshots work", async () => {
		await using world = await World.open();
		const running = await world.create();
		const paused = await world.create();
		const pausing = await world.create();
		await world.write(pausing.sandboxId, "kept");
		const { snapshotId } = await world.snapshot(running.sandboxId);
		await world.pause(paused.sandboxId);
		const held = world.faults.holdAt("freeze:published");
		void world.pause(pausing.sandboxId);
		await held.reached;
		await world.crash();
		world.host.containers.clear();
		await world.start();
		await expect(world.get(running.sandboxId)).rejects.toMatchObject(notFound);
		expect((await world.row(running.sandboxId)).endReason).toContain("the host was restarted");
		await world.connect(paused.sandboxId);
		expect(await world.memory(pausing.sandboxId)).toEqual(["kept"]);
		expect(await world.get(pausing.sandboxId)).toMatchObject({ state: "paused" });
		await world.create({ templateRef: snapshotId });
		await world.checkInvariants();
	});

	it("keeps a sandbox that can't be settled yet locked, and serves the others", async () => {
		await using world = await World.open();
		const stuck = await world.create();
		const other = await world.create();
		const held = world.faults.holdAt("freeze:frozen");
		void world.pause(stuck.sandboxId);
		await held.reached;
		await world.crash();
		world.faults.failAt("unfreeze", new Error("engine is busy"), 2);
		await world.start();
		expect(await world.admit(other.sandboxId)).toMatchObject({ kind: "proxy" });
		await expect(world.control.setTimeout(world.team, stuck.sandboxId, 60)).rejects.toMatchObject(conflict);
		await eventually(async () => {
			world.clock.advance(1_000);
			await world.control.setTimeout(world.team, stuck.sandboxId, 60);
		});
		expect(await world.admit(stuck.sandboxId)).toMatchObject({ kind: "proxy", incarnation: 1 });
		await world.checkInvariants();
	});
});
