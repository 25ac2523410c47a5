import { describe, expect, it } from "vitest";
import { eventually, World } from "./testing/world.ts";

const signal = new AbortController().signal;
const notFound = { code: "not_found" };
const conflict = { code: "conflict" };

describe.concurrent("close", () => {
	it("lets nothing start that was asked for before and is not begun yet: it would slip in behind the end of all others", async () => {
		await using world = await World.open();
		const creating = world.create();
		world.control.refuseNew();
		await expect(creating).rejects.toMatchObject({ code: "busy" });
		expect(await world.control.endRunning("the server was taken down", AbortSignal.timeout(5_000))).toBe(0);
		expect(world.host.containers.size).toBe(0);
	});

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
