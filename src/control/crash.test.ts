/** The server dies at every point of every operation; what the next one finds must be whole. */
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { World } from "./testing/world.ts";
import type { SandboxView } from "./types.ts";

/** What a scenario starts with. */
interface Scene {
	readonly world: World;
	readonly running: SandboxView;
	readonly paused: SandboxView;
	readonly snapshotId: string;
}

interface Scenario {
	readonly name: string;
	readonly act: (scene: Scene) => Promise<unknown>;
	/** What must hold afterwards if the operation was acknowledged. */
	readonly acknowledged: (scene: Scene, result: unknown) => Promise<void>;
	/** A point that fails once, before the server dies later or not at all. */
	readonly fails?: string;
	/** The sandboxes that may have lost their memory, though not their files. */
	readonly mayForget?: (scene: Scene) => readonly string[];
	/** The sandboxes that may be gone afterwards. */
	readonly mayEnd?: (scene: Scene) => readonly string[];
}

const stateOf = async (scene: Scene, id: string) => (await scene.world.get(id)).state;

const SCENARIOS: readonly Scenario[] = [
	{
		name: "create",
		act: ({ world }) => world.create(),
		acknowledged: async ({ world }, created) => {
			const { sandboxId, accessToken, endAt } = created as SandboxView;
			expect(await world.get(sandboxId)).toMatchObject({ state: "running", accessToken, endAt });
		},
	},
	{
		name: "create from a snapshot",
		act: ({ world, snapshotId }) => world.create({ templateRef: snapshotId }),
		acknowledged: async (scene, created) => {
			expect(await scene.world.memory((created as SandboxView).sandboxId)).toEqual(["before"]);
		},
	},
	{
		name: "pause",
		act: ({ world, running }) => world.pause(running.sandboxId),
		acknowledged: async (scene) => expect(await stateOf(scene, scene.running.sandboxId)).toBe("paused"),
	},
	{
		name: "a pause that can't be recorded",
		act: ({ world, running }) => world.pause(running.sandboxId).catch(() => {}),
		acknowledged: async (scene) => expect(await stateOf(scene, scene.running.sandboxId)).toBe("running"),
		fails: "transaction",
	},
	{
		name: "pause without memory",
		act: ({ world, running }) => world.pause(running.sandboxId, { memory: false }),
		acknowledged: async ({ world, running }) =>
			expect(await world.get(running.sandboxId)).toMatchObject({ state: "paused", pauseMode: "filesystem" }),
		mayForget: ({ running }) => [running.sandboxId],
	},
	{
		name: "resume without memory",
		act: ({ world, paused }) => world.connect(paused.sandboxId, 300, false),
		acknowledged: async (scene) => expect(await stateOf(scene, scene.paused.sandboxId)).toBe("running"),
		mayForget: ({ paused }) => [paused.sandboxId],
	},
	{
		name: "snapshot without memory",
		act: ({ world, running }) => {
			const request = { name: "disk", memory: false, inheritEnv: true };
			return world.control.createSnapshot(world.team, running.sandboxId, request, new AbortController().signal);
		},
		acknowledged: async ({ world }) => expect(await world.snapshots()).toContain("local/disk:default"),
	},
	{
		name: "resume",
		act: ({ world, paused }) => world.connect(paused.sandboxId),
		acknowledged: async (scene) => expect(await stateOf(scene, scene.paused.sandboxId)).toBe("running"),
	},
	{
		name: "resume by traffic",
		act: ({ world, paused }) => world.admit(paused.sandboxId, { port: 8000 }),
		acknowledged: async (scene) => expect(await stateOf(scene, scene.paused.sandboxId)).toBe("running"),
	},
	{
		name: "snapshot",
		act: ({ world, running }) => world.snapshot(running.sandboxId, "named"),
		acknowledged: async ({ world }) => expect(await world.snapshots()).toContain("local/named:default"),
	},
	{
		name: "snapshot again under the same name",
		act: ({ world, running }) => world.snapshot(running.sandboxId, "mine"),
		acknowledged: async ({ world }) => {
			const child = await world.create({ templateRef: "mine" });
			expect(await world.memory(child.sandboxId)).toContain("before");
		},
	},
	{
		name: "fork",
		act: ({ world, running }) => world.fork(running.sandboxId, 2),
		acknowledged: async ({ world }, results) => {
			for (const result of results as readonly { sandbox: SandboxView }[]) {
				expect(await world.get(result.sandbox.sandboxId)).toMatchObject({ state: "running" });
			}
		},
	},
	{
		name: "kill a running one",
		act: ({ world, running }) => world.kill(running.sandboxId),
		acknowledged: async ({ world, running }) => {
			await expect(world.get(running.sandboxId)).rejects.toMatchObject({ code: "not_found" });
		},
		mayEnd: ({ running }) => [running.sandboxId],
	},
	{
		name: "kill a paused one",
		act: ({ world, paused }) => world.kill(paused.sandboxId),
		acknowledged: async ({ world, paused }) => {
			await expect(world.get(paused.sandboxId)).rejects.toMatchObject({ code: "not_found" });
		},
		mayEnd: ({ paused }) => [paused.sandboxId],
	},
	{
		name: "kill during a pause",
		act: ({ world, running }) => Promise.all([world.pause(running.sandboxId).catch(() => {}), world.kill(running.sandboxId)]),
		acknowledged: async ({ world, running }) => {
			await expect(world.get(running.sandboxId)).rejects.toMatchObject({ code: "not_found" });
		},
		mayEnd: ({ running }) => [running.sandboxId],
	},
	{
		name: "delete a snapshot",
		act: ({ world, snapshotId }) => world.control.deleteTemplate(world.team, snapshotId, new AbortController().signal),
		acknowledged: async ({ world, snapshotId }) => expect(await world.snapshots()).not.toContain(snapshotId),
	},
	{
		name: "a pause at the end of its time",
		act: async ({ world, running }) => {
			world.clock.advance(301_000);
			while ((await world.row(running.sandboxId)).state !== "paused") await setImmediate();
		},
		acknowledged: async (scene) => expect(await stateOf(scene, scene.running.sandboxId)).toBe("paused"),
	},
];

async function openScene(): Promise<Scene> {
	const world = await World.open();
	const running = await world.create({ autoPause: true });
	await world.write(running.sandboxId, "before");
	const paused = await world.create({ autoResume: true, timeout: 3600 });
	await world.write(paused.sandboxId, "kept");
	for (const { sandboxId } of [running, paused]) {
		world.host.container({ sandboxId, incarnation: 1 })?.files.push(`disk of ${sandboxId}`);
	}
	await world.pause(paused.sandboxId);
	const { snapshotId } = await world.snapshot(running.sandboxId, "mine");
	world.faults.reset();
	return { world, running, paused, snapshotId };
}

/** Lets the guest of the running sandbox acknowledge something whenever it can, as over an open connection. */
function keepWriting({ world, running }: Scene): { readonly acknowledged: readonly string[]; readonly write: () => void } {
	const acknowledged = ["before"];
	const write = () => {
		const guest = world.host.container({ sandboxId: running.sandboxId, incarnation: 1 });
		if (!guest || guest.frozen) return;
		const text = `write ${acknowledged.length}`;
		guest.memory.push(text);
		acknowledged.push(text);
	};
	return { acknowledged, write };
}

async function survives(scene: Scene, scenario: Scenario, id: string, memory: readonly string[]): Promise<void> {
	if (scenario.mayEnd?.(scene).includes(id) && (await scene.world.row(id)).state === "ended") return;
	if (scenario.mayForget?.(scene).includes(id) && (await scene.world.memory(id)).length === 0) {
		expect(await scene.world.files(id)).toEqual([`disk of ${id}`]);
		return;
	}
	expect(await scene.world.memory(id)).toEqual(memory);
}

/** @returns false when the operation has no point with this index */
async function dieAt(scenario: Scenario, index: number): Promise<boolean> {
	const scene = await openScene();
	await using world = scene.world;
	const guest = keepWriting(scene);
	const death = world.faults.dieAt(index);
	const { hook } = world.faults;
	let fails = scenario.fails;
	world.faults.hook = async (name, at) => {
		guest.write();
		await hook(name, at);
		if (name !== fails) return;
		fails = undefined;
		throw new Error("failed on purpose");
	};
	const acted = scenario.act(scene).then(
		(result) => ({ result }),
		() => "failed" as const,
	);
	const outcome = await Promise.race([acted, death.then(() => "died" as const)]);
	const passed = world.faults.passed.length;
	guest.write();
	await world.crashAndStart();

	await world.checkInvariants();
	await survives(scene, scenario, scene.running.sandboxId, guest.acknowledged);
	await survives(scene, scenario, scene.paused.sandboxId, ["kept"]);
	for (const snapshotId of await world.snapshots()) await world.create({ templateRef: snapshotId });
	if (typeof outcome === "object") await scenario.acknowledged(scene, outcome.result);
	await world.checkInvariants();
	expect(outcome).not.toBe("failed");
	return passed >= index;
}

/** @returns false when settling has no point with this index */
async function dieAgainAt(scenario: Scenario, index: number, second: number): Promise<boolean> {
	const scene = await openScene();
	await using world = scene.world;
	const death = world.faults.dieAt(index);
	await Promise.race([scenario.act(scene).catch(() => {}), death]);
	const before = await world.memoryOf([scene.running.sandboxId, scene.paused.sandboxId]);
	await world.crash();
	const again = world.faults.dieAt(second);
	await Promise.race([world.start(), again]);
	const passed = world.faults.passed.length;
	await world.crashAndStart();
	await world.checkInvariants();
	expect(await world.memoryOf([scene.running.sandboxId, scene.paused.sandboxId])).toEqual(before);
	return passed >= second;
}

describe.concurrent("a server that dies", () => {
	it.each(SCENARIOS)(
		"during $name loses nothing acknowledged and leaves no trace of the rest",
		{ timeout: 120_000 },
		async (scenario) => {
			let index = 1;
			while (await dieAt(scenario, index)) index++;
			expect(index).toBeGreaterThan(2);
		},
	);

	it.each(SCENARIOS.filter(({ name }) => ["pause", "resume", "fork"].includes(name)))(
		"during $name and again while the next one settles it, is settled by the third",
		{ timeout: 120_000 },
		async (scenario) => {
			for (const index of [3, 5, 7]) {
				let second = 1;
				while (await dieAgainAt(scenario, index, second)) second++;
				expect(second).toBeGreaterThan(2);
			}
		},
	);
});
