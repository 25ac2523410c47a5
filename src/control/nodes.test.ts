import { afterEach, beforeEach, expect, it } from "vitest";
import { World } from "./testing/world.ts";

let world: World;
beforeEach(async () => {
	world = await World.open();
});
afterEach(() => world[Symbol.asyncDispose]());

const signal = new AbortController().signal;

it("counts what runs, what was promised to it, and which creates succeeded", async () => {
	const { sandboxId } = await world.create();
	await world.create();
	await world.create();
	await world.pause(sandboxId);
	world.faults.failAt("start", new Error("no slot"));
	await expect(world.create()).rejects.toThrow();
	const [node] = await world.control.nodes.list(signal);
	expect(node).toMatchObject({
		id: "node-1",
		running: 2,
		starting: 0,
		allocatedCpu: 4,
		allocatedMemoryBytes: 1024 ** 3,
		createSuccesses: 3,
		createFails: 1,
	});
	expect(Object.fromEntries(world.control.nodes.runningCounts())).toEqual({ [world.team.id]: 2 });
});

it("shows one node's artifacts, and none of a node that does not exist", async () => {
	const { sandboxId } = await world.create();
	await world.pause(sandboxId);
	expect((await world.control.nodes.get("node-1", signal)).artifactIds).toHaveLength(2);
	await expect(world.control.nodes.get("node-2", signal)).rejects.toMatchObject({ code: "not_found" });
});

it("takes nothing new unless it is ready, and lets what runs go on", async () => {
	const running = await world.create();
	const paused = await world.create();
	await world.pause(paused.sandboxId);
	const { nodes } = world.control;
	nodes.setStatus("node-1", "draining");
	expect(await nodes.list(signal)).toMatchObject([{ status: "draining", running: 1 }]);
	const closed = { code: "busy", message: expect.stringContaining("'draining'"), details: { shouldRetry: true } };
	await expect(world.create()).rejects.toMatchObject(closed);
	await expect(world.connect(paused.sandboxId)).rejects.toMatchObject(closed);
	await expect(world.fork(running.sandboxId, 2)).rejects.toMatchObject(closed);
	await world.snapshot(running.sandboxId, "kept");
	await world.pause(running.sandboxId);
	nodes.setStatus("node-1", "ready");
	await world.connect(running.sandboxId);
	await world.create();
	expect(() => nodes.setStatus("node-2", "draining")).toThrow(/does not exist/);
	await world.checkInvariants();
});
