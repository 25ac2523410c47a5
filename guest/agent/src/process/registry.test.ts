import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TestAgent } from "../../testing/agent.ts";
import type { Channel } from "../channel.ts";
import { Sysd } from "../sysd/sysd.ts";
import type { ProcessEvent } from "./managed.ts";
import { ProcessRegistry } from "./registry.ts";

let agent: TestAgent;
let sysd: Sysd;

beforeEach(async () => {
	agent = await TestAgent.start();
	sysd = new Sysd(`${agent.directory}/sysd.sock`);
}, 60_000);

afterEach(async () => {
	vi.useRealTimers();
	sysd.close();
	await agent[Symbol.asyncDispose]();
});

/** Of output, until the end. */
async function bytesLeft(events: Channel<ProcessEvent>): Promise<number> {
	let bytes = 0;
	for (;;) {
		const next = await events.next(60_000);
		if (typeof next === "string") return bytes;
		if (next.value.kind !== "end") bytes += next.value.data.length;
	}
}

const LAUNCH = {
	args: [],
	environment: { PATH: "/usr/bin:/bin" },
	cwd: "/",
	uid: 0,
	gid: 0,
	groups: [0],
	input: "null",
} as const;

test("an end can be asked for during half a minute, then the process is forgotten", async () => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
	const registry = new ProcessRegistry(sysd);
	const description = { cmd: "true", args: [], envs: {}, tag: "mine", input: "null" } as const;
	const process = await registry.start({ ...LAUNCH, program: "true" }, description);
	const events = process.subscribe();
	process.begin();
	const first = await events.next(1_000_000_000);
	expect(first).toMatchObject({ value: { kind: "end", ending: { exitCode: 0 } } });

	vi.advanceTimersByTime(29_999);
	expect([registry.byPid(process.pid), registry.byTag("mine")]).toEqual([process, process]);
	expect(registry.running()).toEqual([]);
	vi.advanceTimersByTime(1);
	expect([registry.byPid(process.pid), registry.byTag("mine")]).toEqual([undefined, undefined]);
});

test("a process whose end stands behind output that nobody takes has ended when it is killed", async () => {
	const registry = new ProcessRegistry(sysd);
	// More than a subscriber is held, and little enough for what lies between it and the process.
	const launch = { ...LAUNCH, program: "head", args: ["-c", "380000", "/dev/zero"] };
	const process = await registry.start(launch, { cmd: "head", args: [], envs: {}, input: "null" });
	const events = process.subscribe();
	process.begin();
	const isKnown = async () => (await sysd.list()).some(({ pid }) => pid === process.pid);
	await vi.waitUntil(async () => events.full && !(await isKnown()), { timeout: 10_000 });
	expect(registry.running()).toEqual([process]);
	await expect(registry.signal(process, 9)).rejects.toMatchObject({ code: "ESRCH" });
	await vi.waitUntil(() => process.ending?.exitCode === 0, { timeout: 10_000 });
	expect(registry.running()).toEqual([]);
	expect(await bytesLeft(events)).toBe(380_000);
});

test("a process keeps its output when the order to end it does not reach it", async () => {
	const broken = new Sysd(`${agent.directory}/sysd.sock`);
	const registry = new ProcessRegistry(broken);
	const launch = { ...LAUNCH, program: "head", args: ["-c", "5000000", "/dev/zero"] };
	const process = await registry.start(launch, { cmd: "head", args: [], envs: {}, input: "null" });
	const events = process.subscribe();
	process.begin();
	await vi.waitUntil(() => events.full, { timeout: 10_000 });
	vi.spyOn(broken, "signal").mockRejectedValue(new Error("the connection to sysd was lost"));
	await expect(registry.signal(process, 9)).rejects.toThrow("lost");
	// Long enough to lose all of it.
	await sleep(500);
	expect(await bytesLeft(events)).toBe(5_000_000);
	broken.close();
});
