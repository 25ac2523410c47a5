import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TestAgent } from "../../testing/agent.ts";
import { Sysd } from "../sysd/sysd.ts";
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

test("an end can be asked for during half a minute, then the process is forgotten", async () => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
	const registry = new ProcessRegistry(sysd);
	const launch = { program: "true", args: [], environment: { PATH: "/usr/bin:/bin" }, cwd: "/", uid: 0, gid: 0, groups: [0] };
	const process = await registry.start(
		{ ...launch, input: "null" },
		{ cmd: "true", args: [], envs: {}, tag: "mine", input: "null" },
	);
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
