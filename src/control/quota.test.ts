import { expect, it } from "vitest";
import { eventually, World } from "./testing/world.ts";

const MB = 1024 * 1024;
const noRoom = (what: RegExp) => ({
	code: "busy",
	message: expect.stringMatching(what),
	details: { errorCode: "sandbox_capacity_unavailable", retryAfterSeconds: 5, shouldRetry: true },
});

it("refuses one sandbox too many, also in a burst, and names the limit", async () => {
	await using world = await World.open({ maxConcurrent: 3 });
	const results = await Promise.allSettled(Array.from({ length: 8 }, () => world.create()));
	expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(3);
	for (const result of results) {
		if (result.status === "rejected") {
			expect(result.reason).toMatchObject({ code: "too_many", message: expect.stringContaining("3 sandboxes") });
			expect(result.reason.details).toEqual({ errorCode: "sandbox_concurrency_limit", shouldRetry: false });
		}
	}
	await world.checkInvariants();
});

it("refuses to start what the node has no room for, before anything was begun", async () => {
	await using world = await World.open();
	const running = await world.create();
	const paused = await world.create();
	await world.pause(paused.sandboxId);
	world.host.capacity = { memoryFreeBytes: 300 * MB, diskFreeBytes: 8_000 * MB };
	await expect(world.create()).rejects.toMatchObject(noRoom(/300 MB of memory are free and 512 MB/));
	await expect(world.connect(paused.sandboxId)).rejects.toMatchObject(noRoom(/memory/));
	await expect(world.fork(running.sandboxId, 2)).rejects.toMatchObject(noRoom(/memory/));
	world.host.capacity = { memoryFreeBytes: 8_000 * MB, diskFreeBytes: 100 * MB };
	await expect(world.create()).rejects.toMatchObject(noRoom(/100 MB of disk space are free and 256 MB/));
	expect(await world.get(paused.sandboxId)).toMatchObject({ state: "paused" });
	await world.checkInvariants();
	world.host.capacity = { memoryFreeBytes: 8_000 * MB, diskFreeBytes: 8_000 * MB };
	await world.connect(paused.sandboxId);
	await world.checkInvariants();
});

it("refuses forks that have no room at all before their source stands still, and some of them where there is some", async () => {
	await using world = await World.open({ maxConcurrent: 4 });
	const source = await world.create();
	world.control.nodes.setStatus(world.node.nodeId, "draining");
	await expect(world.fork(source.sandboxId, 2)).rejects.toMatchObject(noRoom(/draining/));
	await expect(world.fork("inone", 2)).rejects.toMatchObject({ code: "not_found" });
	world.control.nodes.setStatus(world.node.nodeId, "ready");
	const others = [await world.create(), await world.create(), await world.create()];
	await expect(world.fork(source.sandboxId, 2)).rejects.toMatchObject({ code: "too_many" });
	expect(world.faults.passed.filter((name) => name === "capture")).toEqual([]);
	expect((await world.row(source.sandboxId)).state).toBe("running");
	await world.kill(others[0]?.sandboxId ?? "");
	const results = await world.fork(source.sandboxId, 2);
	expect(results.map((result) => ("error" in result ? result.error.code : 201)).sort()).toEqual([201, 429]);
	await world.checkInvariants();
});

it("gives a burst no more than the node has room for, though none of it shows in the node's figures yet", async () => {
	await using world = await World.open();
	world.host.capacity = { memoryFreeBytes: 1_000 * MB, diskFreeBytes: 8_000 * MB };
	const burst = async (fit: number) => {
		const held = world.faults.holdAt("start");
		const refused: unknown[] = [];
		const all = Array.from({ length: 20 }, () => world.create().catch((error: unknown) => refused.push(error)));
		await eventually(() => expect(refused).toHaveLength(20 - fit));
		for (const error of refused) expect(error).toMatchObject(noRoom(/MB of (memory|disk space) are free/));
		held.release();
		await Promise.all(all);
	};
	await burst(7);
	world.host.capacity = { memoryFreeBytes: 8_000 * MB, diskFreeBytes: 265 * MB };
	await burst(3);
	await world.checkInvariants();
});
