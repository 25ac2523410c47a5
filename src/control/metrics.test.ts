import { describe, expect, it } from "vitest";
import { Series } from "./metrics.ts";
import { World } from "./testing/world.ts";

const ALL = { start: undefined, end: undefined };

describe("a series", () => {
	it("stays small, in order, whole in its span, and exact at its new end", () => {
		const series = new Series<{ at: number; value: number }>((a, b) => (a.value > b.value ? a : b));
		for (let at = 1; at <= 20_000; at++) series.add({ at, value: at === 77 ? 1_000 : 0 });
		const samples = series.within(ALL);
		expect(samples.length).toBeLessThanOrEqual(540);
		expect(samples.map(({ at }) => at)).toEqual(samples.map(({ at }) => at).toSorted((a, b) => a - b));
		expect(samples.some(({ value }) => value === 1_000)).toBe(true);
		expect(series.within({ start: 19_900, end: 19_999 })).toHaveLength(100);
		expect(series.newest()?.at).toBe(20_000);
	});
});

describe.concurrent("measures", () => {
	it("are taken of running sandboxes every five seconds, and of nothing else", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		const paused = await world.create();
		await world.pause(paused.sandboxId);
		const { metrics } = world.control;
		expect(metrics.ofSandbox(world.team, sandboxId, ALL)).toEqual([]);
		await world.write(sandboxId, "a");
		const taken = [];
		for (let round = 1; round <= 3; round++) {
			world.clock.advance(5_000);
			taken.push(world.clock.now());
			await expect.poll(() => metrics.ofSandbox(world.team, sandboxId, ALL)).toHaveLength(round);
		}
		expect(metrics.ofSandbox(world.team, sandboxId, { start: taken[1], end: taken[1] })).toMatchObject([
			{ at: taken[1], memUsed: 1 },
		]);
		expect(metrics.ofSandbox(world.team, sandboxId, { start: undefined, end: 5 })).toEqual([]);
		expect(metrics.ofSandbox(world.team, paused.sandboxId, ALL)).toEqual([]);
		expect([...metrics.newest(world.team, [sandboxId, paused.sandboxId, "inone"]).keys()]).toEqual([sandboxId]);
		await world.kill(sandboxId);
		expect(() => metrics.ofSandbox(world.team, sandboxId, ALL)).toThrow(/doesn't exist/);
	});

	it("of a team count what runs and what was started", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.fork(sandboxId, 4);
		world.clock.advance(5_000);
		await expect.poll(() => world.control.metrics.ofTeam(world.team, ALL)).toHaveLength(1);
		await world.pause(sandboxId);
		world.clock.advance(5_000);
		await expect.poll(() => world.control.metrics.ofTeam(world.team, ALL)).toHaveLength(2);
		expect(world.control.metrics.ofTeam(world.team, ALL)).toMatchObject([
			{ concurrentSandboxes: 5, startRate: 1 },
			{ concurrentSandboxes: 4, startRate: 0 },
		]);
	});

	it("outlive the server, one in a minute; those of sandboxes that are gone do not", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		const ended = await world.create();
		const measured = () => world.control.metrics.ofSandbox(world.team, sandboxId, ALL);
		for (let round = 1; round <= 12; round++) {
			world.clock.advance(5_000);
			await expect.poll(() => measured().length).toBe(round);
		}
		await expect.poll(() => world.fleet.measures.living()).toHaveLength(3);
		const last = measured().at(-1);
		await world.kill(ended.sandboxId);
		await world.crashAndStart();
		expect(measured()).toEqual([last]);
		const kept = (await world.fleet.measures.living()).map(({ subjectId }) => subjectId);
		expect(kept.toSorted()).toEqual([sandboxId, world.team.id].toSorted());
		expect(world.control.metrics.newest(world.team, [sandboxId, ended.sandboxId]).size).toBe(1);
		expect(world.control.metrics.ofTeam(world.team, ALL)).toMatchObject([{ concurrentSandboxes: 2, startRate: 0.4 }]);
	});

	it("that were saved damaged keep no server from starting", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		await world.fleet.measures.add([{ kind: "sandbox", subjectId: sandboxId, atMs: 1, sample: { memUsed: Number.NaN } }]);
		await expect(world.fleet.measures.living()).rejects.toThrow("measures.sample");
		await world.crashAndStart();
		expect(world.control.metrics.ofSandbox(world.team, sandboxId, ALL)).toEqual([]);
	});

	it("are another team's business never", async () => {
		await using world = await World.open();
		const other = await world.fleet.teams.create({ slug: "other", name: "other" });
		const { sandboxId } = await world.create();
		world.clock.advance(5_000);
		await expect.poll(() => world.control.metrics.ofSandbox(world.team, sandboxId, ALL)).toHaveLength(1);
		expect(() => world.control.metrics.ofSandbox(other, sandboxId, ALL)).toThrow(/doesn't exist/);
		expect(world.control.metrics.newest(other, [sandboxId]).size).toBe(0);
		expect(world.control.metrics.ofTeam(other, ALL)).toEqual([]);
	});
});
