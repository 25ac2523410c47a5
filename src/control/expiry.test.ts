import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { eventually, World } from "./testing/world.ts";

const signal = new AbortController().signal;
const stateOf = async (world: World, id: string) => (await world.row(id)).state;

describe.concurrent("the end of a sandbox's time", () => {
	it("kills or pauses, each at its own time", async () => {
		await using world = await World.open();
		const short = await world.create({ timeout: 3 });
		const kept = await world.create({ timeout: 5, autoPause: true });
		const long = await world.create({ timeout: 60 });
		world.clock.advance(2_999);
		await setImmediate();
		expect(await stateOf(world, short.sandboxId)).toBe("running");
		world.clock.advance(1);
		await eventually(async () => expect(await stateOf(world, short.sandboxId)).toBe("ended"));
		world.clock.advance(2_000);
		await eventually(async () => expect(await stateOf(world, kept.sandboxId)).toBe("paused"));
		expect(await world.get(kept.sandboxId)).toMatchObject({ onTimeout: "pause", endAt: new Date(world.clock.now()) });
		await world.connect(kept.sandboxId, 10);
		world.clock.advance(10_000);
		await eventually(async () => expect(await stateOf(world, kept.sandboxId)).toBe("paused"));
		expect(await stateOf(world, long.sandboxId)).toBe("running");
		await world.checkInvariants();
	});

	it("comes as a resume has said, if it said so", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create({ autoPause: true });
		const afterResume = async (autoPause?: boolean) => {
			await world.pause(sandboxId);
			const view = await world.control.resumeSandbox(world.team, sandboxId, { timeout: 60, memory: true, autoPause }, signal);
			expect(view.onTimeout).toBe((await world.row(sandboxId)).onTimeout);
			return view.onTimeout;
		};
		expect(await afterResume()).toBe("pause");
		expect(await afterResume(false)).toBe("kill");
		expect(await afterResume()).toBe("kill");
		expect(await afterResume(true)).toBe("pause");
		world.clock.advance(60_000);
		await eventually(async () => expect(await stateOf(world, sandboxId)).toBe("paused"));
	});

	it("follows what the client sets, extends only what may be extended, and is clamped to the longest time", async () => {
		await using world = await World.open({ maxTimeoutSeconds: 100 });
		const { sandboxId, startedAt } = await world.create({ timeout: 50 });
		const left = async () => ((await world.get(sandboxId)).endAt.getTime() - startedAt.getTime()) / 1000;
		await world.control.setTimeout(world.team, sandboxId, 20);
		expect(await left()).toBe(20);
		await world.control.refreshSandbox(world.team, sandboxId, 1);
		expect(await left()).toBe(20);
		await world.control.refreshSandbox(world.team, sandboxId, 30);
		expect(await left()).toBe(30);
		await world.connect(sandboxId, 10);
		expect(await left()).toBe(30);
		world.clock.advance(15_000);
		await world.connect(sandboxId, 90);
		expect(await left()).toBe(100);
		await expect(world.connect(sandboxId, 101)).rejects.toMatchObject({ code: "invalid_request" });
		await world.control.setTimeout(world.team, sandboxId, -5);
		world.clock.advance(0);
		await eventually(async () => expect(await stateOf(world, sandboxId)).toBe("ended"));
	});

	it("does not come for a sandbox whose extension was acknowledged before its row ended", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create({ timeout: 3 });
		const held = world.faults.holdAt("transaction");
		world.clock.advance(3_000);
		await held.reached;
		await world.control.setTimeout(world.team, sandboxId, 60);
		held.release();
		await world.control.getSandbox(world.team, sandboxId);
		world.clock.advance(59_000);
		await setImmediate();
		expect(await stateOf(world, sandboxId)).toBe("running");
		world.clock.advance(1_000);
		await eventually(async () => expect(await stateOf(world, sandboxId)).toBe("ended"));
	});

	it("waits for a snapshot under way", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create({ timeout: 3 });
		const held = world.faults.holdAt("capture:published");
		const snapshot = world.snapshot(sandboxId);
		await held.reached;
		world.clock.advance(4_000);
		held.release();
		await snapshot;
		world.clock.advance(0);
		await eventually(async () => expect(await stateOf(world, sandboxId)).toBe("ended"));
		expect(await world.snapshots()).toHaveLength(1);
	});

	it("tries a failed pause again and never kills instead", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create({ timeout: 3, autoPause: true });
		world.faults.failAt("freeze", new Error("disk is full"));
		world.clock.advance(3_000);
		await eventually(async () => expect(world.faults.passed.includes("freeze")).toBe(true));
		await eventually(async () => expect(await stateOf(world, sandboxId)).toBe("running"));
		await eventually(async () => {
			world.clock.advance(1_000);
			expect(await stateOf(world, sandboxId)).toBe("paused");
		});
	});

	it("comes ever more seldom for what cannot be paused, since each try stops it", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create({ timeout: 3, autoPause: true });
		const tries: number[] = [];
		world.faults.hook = (point) => {
			if (point !== "freeze") return;
			tries.push(world.clock.now());
			throw new Error("too many files");
		};
		for (let second = 0; second < 3_600; second++) {
			world.clock.advance(1_000);
			for (let turn = 0; turn < 20; turn++) await setImmediate();
		}
		const waits = tries.slice(1).map((at, index) => (at - (tries[index] ?? 0)) / 1000);
		expect(tries.length).toBeGreaterThan(5);
		for (const [index, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual(Math.min(5 * 2 ** index, 300));
		await eventually(async () => expect(await stateOf(world, sandboxId)).toBe("running"));
	});

	it("comes on time again for one that was extended while its failed pause waited for another try", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create({ timeout: 3, autoPause: true });
		let failing = true;
		world.faults.hook = (point) => {
			if (point === "freeze" && failing) throw new Error("too many files");
		};
		const tries = () => world.faults.passed.filter((point) => point === "freeze").length;
		for (let count = 1; count <= 6; count++) {
			await eventually(() => {
				world.clock.advance(1_000);
				expect(tries()).toBeGreaterThanOrEqual(count);
			});
		}
		await eventually(async () => expect(await stateOf(world, sandboxId)).toBe("running"));
		failing = false;
		await world.control.setTimeout(world.team, sandboxId, 10);
		const extended = world.clock.now();
		await eventually(async () => {
			world.clock.advance(500);
			expect(await stateOf(world, sandboxId)).toBe("paused");
		});
		expect(world.clock.now() - extended).toBeLessThan(60_000);
	});

	it("survives a restart, also when it passed while no server was there", async () => {
		await using world = await World.open();
		const due = await world.create({ timeout: 3 });
		const later = await world.create({ timeout: 30 });
		await world.control.close();
		world.clock.advance(4_000);
		await world.crashAndStart();
		expect((await world.get(later.sandboxId)).endAt).toEqual(later.endAt);
		world.clock.advance(0);
		await eventually(async () => expect(await stateOf(world, due.sandboxId)).toBe("ended"));
		world.clock.advance(27_000);
		await eventually(async () => expect(await stateOf(world, later.sandboxId)).toBe("ended"));
		await world.checkInvariants();
	});
});
