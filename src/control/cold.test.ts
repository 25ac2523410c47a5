/** Pauses and snapshots of files alone, starts without memory, and pauses of guests that did not answer. */
import { describe, expect, it } from "vitest";
import { AGENT_PORT } from "../protocol/index.ts";
import { LIFECYCLE } from "./table.ts";
import { eventually, World } from "./testing/world.ts";
import type { CreateSandboxRequest } from "./types.ts";

const signal = new AbortController().signal;
const unresponsive = { code: "conflict", details: { errorCode: "sandbox_snapshot_guest_agent_unresponsive" } };

async function withData(world: World, change: Partial<CreateSandboxRequest> = {}): Promise<string> {
	const { sandboxId } = await world.create(change);
	await world.write(sandboxId, "in memory");
	guest(world, sandboxId, 1).files.push("on disk");
	return sandboxId;
}

function guest(world: World, sandboxId: string, incarnation: number) {
	const found = world.host.container({ sandboxId, incarnation });
	if (!found) throw new Error(`no incarnation ${incarnation} of ${sandboxId}`);
	return found;
}

describe.concurrent("a pause without memory", () => {
	it("keeps the files and starts cold, with the same token", async () => {
		await using world = await World.open();
		const id = await withData(world, { envs: { MINE: "1" } });
		const before = await world.get(id);
		await world.pause(id, { memory: false });
		expect(await world.get(id)).toMatchObject({ state: "paused", pauseMode: "filesystem", agentUnresponsiveAtPause: false });
		expect(await world.connect(id)).toMatchObject({ resumed: true, sandbox: { state: "running", pauseMode: undefined } });
		const { accessToken } = before;
		expect(guest(world, id, 2)).toMatchObject({ memory: [], files: ["on disk"], accessToken, envs: { MINE: "1" } });
		await world.checkInvariants();
	});

	it("is never ended by traffic, also when the sandbox is to be woken by it", async () => {
		await using world = await World.open();
		const id = await withData(world, { autoPause: true, autoResume: true, secure: false });
		await world.pause(id, { memory: false });
		expect(await world.admit(id)).toEqual({ kind: "not-found" });
		expect(await world.admit(id, { port: 8000 })).toEqual({ kind: "not-found" });
		expect(await world.get(id)).toMatchObject({ state: "paused" });
	});

	it("is what the end of its time brings, when it was created so", async () => {
		await using world = await World.open();
		const id = await withData(world, { autoPause: true, autoPauseMemory: false });
		world.clock.advance(301_000);
		await eventually(async () => expect(await world.get(id)).toMatchObject({ state: "paused", pauseMode: "filesystem" }));
		await world.connect(id);
		world.clock.advance(301_000);
		await eventually(async () => expect(await world.get(id)).toMatchObject({ state: "paused", pauseMode: "filesystem" }));
		expect(await world.memory(id)).toEqual([]);
	});

	it("is refused while the agent does not answer, and the sandbox runs on", async () => {
		await using world = await World.open();
		const id = await withData(world);
		guest(world, id, 1).responsive = false;
		await expect(world.pause(id, { memory: false })).rejects.toMatchObject({ code: "busy" });
		await expect(world.pause(id, { requireHealthyGuest: true })).rejects.toMatchObject({ code: "busy" });
		expect(await world.get(id)).toMatchObject({ state: "running" });
		await world.checkInvariants();
	});

	it("still comes at the end of its time, when nobody could decide anew", async () => {
		await using world = await World.open();
		const id = await withData(world, { autoPause: true, autoPauseMemory: false });
		guest(world, id, 1).responsive = false;
		world.clock.advance(301_000);
		await eventually(async () => expect(await world.get(id)).toMatchObject({ state: "paused" }));
		await world.connect(id);
		expect(guest(world, id, 2).files).toEqual(["on disk"]);
	});
});

describe.concurrent("a resume without memory", () => {
	it("ignores the memory of a pause that has it", async () => {
		await using world = await World.open();
		const id = await withData(world);
		await world.pause(id);
		expect((await world.connect(id, 300, false)).resumed).toBe(true);
		expect(guest(world, id, 2)).toMatchObject({ memory: [], files: ["on disk"] });
		await world.checkInvariants();
	});

	it("leaves that memory alone until it has succeeded", async () => {
		await using world = await World.open();
		const id = await withData(world);
		await world.pause(id);
		world.faults.failAt("start:made", new Error("no start"));
		await expect(world.connect(id, 300, false)).rejects.toThrow("still paused");
		world.faults.reset();
		await world.connect(id);
		expect(await world.memory(id)).toEqual(["in memory"]);
	});

	it("extends the time of a sandbox that runs, and is a conflict for the old resume", async () => {
		await using world = await World.open();
		const id = await withData(world);
		expect(await world.connect(id, 600, false)).toMatchObject({ resumed: false });
		const resume = world.control.resumeSandbox(world.team, id, { timeout: 60, memory: false }, signal);
		await expect(resume).rejects.toMatchObject({ code: "conflict" });
		expect(await world.memory(id)).toEqual(["in memory"]);
	});
});

describe.concurrent("a guest that did not answer when it was paused", () => {
	it("is recorded, refuses its memory, and starts cold", async () => {
		await using world = await World.open();
		const id = await withData(world, { autoPause: true, autoResume: true, secure: false });
		guest(world, id, 1).responsive = false;
		await world.pause(id);
		expect(await world.get(id)).toMatchObject({ pauseMode: "full", agentUnresponsiveAtPause: true });
		await expect(world.connect(id)).rejects.toMatchObject(unresponsive);
		const resume = world.control.resumeSandbox(world.team, id, { timeout: 60, memory: true }, signal);
		await expect(resume).rejects.toMatchObject(unresponsive);
		expect(await world.admit(id, { port: AGENT_PORT })).toEqual({ kind: "not-found" });
		await world.connect(id, 300, false);
		expect(await world.get(id)).toMatchObject({ state: "running", agentUnresponsiveAtPause: false });
		await world.pause(id);
		expect(await world.get(id)).toMatchObject({ agentUnresponsiveAtPause: false });
		await world.checkInvariants();
	});

	it("is remembered over a restart of the server", async () => {
		await using world = await World.open();
		const id = await withData(world);
		guest(world, id, 1).responsive = false;
		await world.pause(id);
		await world.crashAndStart();
		await expect(world.connect(id)).rejects.toMatchObject(unresponsive);
	});
});

describe.concurrent("a snapshot without memory", () => {
	it("gives new sandboxes the files of its source, which runs on", async () => {
		await using world = await World.open();
		const id = await withData(world);
		const request = { name: "disk", memory: false, inheritEnv: true };
		const { snapshotId, memory } = await world.control.createSnapshot(world.team, id, request, signal);
		expect(memory).toBe(false);
		expect(await world.memory(id)).toEqual(["in memory"]);
		const child = await world.create({ templateRef: snapshotId });
		expect(guest(world, child.sandboxId, 1)).toMatchObject({ memory: [], files: ["on disk"] });
		await world.checkInvariants();
	});
});

it("treats a paused sandbox without usable memory as any paused one, but for what needs that memory", () => {
	const differs = (phase: "pausedFiles" | "pausedUnresponsive") =>
		Object.entries(LIFECYCLE)
			.filter(([, verdicts]) => verdicts[phase] !== verdicts.paused)
			.map(([name]) => name);
	expect(differs("pausedFiles")).toEqual(["admit"]);
	expect(differs("pausedUnresponsive")).toEqual(["connect", "resume", "admit"]);
});
