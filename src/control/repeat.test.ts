import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { World } from "./testing/world.ts";

const signal = new AbortController().signal;
const conflict = (errorCode: string) => ({ code: "conflict", details: { errorCode } });

let world: World;
beforeEach(async () => {
	world = await World.open({ maxConcurrent: 3 });
});
afterEach(() => world[Symbol.asyncDispose]());

const create = (key: string, change: object = {}) =>
	world.control.createSandbox(world.team, { ...world.request, ...change }, signal, key);
const snapshot = (id: string, key: string, name?: string) =>
	world.control.createSnapshot(world.team, id, { name, memory: true, inheritEnv: true }, signal, key);

describe("a repeated create", () => {
	it("gets the first answer, also when the sandbox has ended since, and makes nothing", async () => {
		const first = await create("key-1", { metadata: { a: "1", b: "2" } });
		expect(await create("key-1", { metadata: { b: "2", a: "1" } })).toEqual(first);
		await world.kill(first.sandboxId);
		const again = await create("key-1", { metadata: { a: "1", b: "2" } });
		expect([again.sandboxId, again.accessToken]).toEqual([first.sandboxId, first.accessToken]);
		expect(world.host.containers.size).toBe(0);
		await world.checkInvariants();
	});

	it("is refused when it asks for something else, for another team it is a request of its own", async () => {
		const first = await create("key-1");
		await expect(create("key-1", { timeout: 60 })).rejects.toMatchObject(conflict("idempotency_request_mismatch"));
		const other = await world.fleet.teams.create({ slug: "other", name: "other" });
		const theirs = await world.control.createSandbox(other, { ...world.request, timeout: 60 }, signal, "key-1");
		expect(theirs.sandboxId).not.toBe(first.sandboxId);
	});

	it("is told to wait while the first is under way", async () => {
		const held = world.faults.holdAt("start:made");
		const first = create("key-1");
		await held.reached;
		await expect(create("key-1")).rejects.toMatchObject(conflict("idempotency_in_progress"));
		await expect(create("key-1", { timeout: 60 })).rejects.toMatchObject(conflict("idempotency_request_mismatch"));
		held.release();
		const { sandboxId } = await first;
		expect((await create("key-1")).sandboxId).toBe(sandboxId);
	});

	it("is carried out anew when the first has failed", async () => {
		world.faults.failAt("start", new Error("engine is busy"));
		await expect(create("key-1")).rejects.toThrow();
		const second = await create("key-1", { timeout: 60 });
		expect((await create("key-1", { timeout: 60 })).sandboxId).toBe(second.sandboxId);
	});

	it("is a new request after a day", async () => {
		const first = await create("key-1");
		world.clock.advance(25 * 3600 * 1000);
		await expect.poll(async () => (await create("key-1")).sandboxId, { timeout: 5_000 }).not.toBe(first.sandboxId);
	});

	it.each(["", "A", "a b", "ä", "x".repeat(256)])("is refused with the key %j", async (key) => {
		await expect(create(key)).rejects.toMatchObject({ code: "invalid_request" });
	});

	it("makes one sandbox wherever a crash had cut the first off", async () => {
		for (let at = 1; ; at++) {
			const key = `crash-${at}`;
			world.faults.reset();
			const dead = world.faults.dieAt(at);
			const finished = create(key).then(() => "finished");
			const outcome = await Promise.race([dead, finished]);
			await world.crashAndStart();
			const { sandboxId } = await create(key);
			expect((await create(key)).sandboxId).toBe(sandboxId);
			expect([...world.host.containers.values()].map((container) => container.sandboxId)).toEqual([sandboxId]);
			await world.kill(sandboxId);
			await world.checkInvariants();
			if (outcome === "finished") break;
		}
	});
});

describe("a repeated snapshot", () => {
	it("gets the first answer, also when the snapshot was deleted since, and makes nothing", async () => {
		const { sandboxId } = await world.create();
		const first = await snapshot(sandboxId, "key-1", "named:v1");
		expect(await snapshot(sandboxId, "key-1", "named:v1")).toEqual(first);
		await expect(snapshot(sandboxId, "key-1", "named:v2")).rejects.toMatchObject(conflict("idempotency_request_mismatch"));
		await expect(create("key-1")).rejects.toMatchObject(conflict("idempotency_request_mismatch"));
		expect(await world.snapshots()).toEqual([first.snapshotId]);
		await world.control.deleteTemplate(world.team, first.snapshotId, signal);
		expect((await snapshot(sandboxId, "key-1", "named:v1")).templateId).toBe(first.templateId);
		expect(await world.snapshots()).toEqual([]);
		await world.checkInvariants();
	});

	it("makes one snapshot wherever a crash had cut the first off", async () => {
		const { sandboxId } = await world.create();
		for (let at = 1; ; at++) {
			const key = `crash-${at}`;
			world.faults.reset();
			const dead = world.faults.dieAt(at);
			const finished = snapshot(sandboxId, key).then(() => "finished");
			const outcome = await Promise.race([dead, finished]);
			await world.crashAndStart();
			const made = await snapshot(sandboxId, key);
			expect((await snapshot(sandboxId, key)).snapshotId).toBe(made.snapshotId);
			expect(await world.snapshots()).toEqual([made.snapshotId]);
			await world.control.deleteTemplate(world.team, made.snapshotId, signal);
			await world.checkInvariants();
			if (outcome === "finished") break;
		}
	});

	it("is unsettled while what the first has left could not be put in order", async () => {
		const { sandboxId } = await world.create();
		const held = world.faults.holdAt("capture:published");
		void snapshot(sandboxId, "key-1");
		await held.reached;
		await world.crash();

		world.faults.failAt("compareAndSet", new Error("disk is slow"), 1);
		await world.start();
		await expect(snapshot(sandboxId, "key-1")).rejects.toMatchObject(conflict("idempotency_outcome_unknown"));
		await expect
			.poll(async () => {
				world.clock.advance(1_000);
				return (await snapshot(sandboxId, "key-1").catch(() => undefined))?.snapshotId;
			})
			.toBeDefined();
		await world.checkInvariants();
	});
});
