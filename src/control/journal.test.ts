import { afterEach, beforeEach, expect, it } from "vitest";
import type { LogsQuery } from "./journal.ts";
import { World } from "./testing/world.ts";

let world: World;
beforeEach(async () => {
	world = await World.open();
});
afterEach(() => world[Symbol.asyncDispose]());

const QUERY: LogsQuery = { limit: 1_000, direction: "forward", cursor: undefined, level: "debug", search: undefined };
const read = (id: string, change: Partial<LogsQuery> = {}) => world.control.logs.read(world.team, id, { ...QUERY, ...change });
const messages = async (id: string, change: Partial<LogsQuery> = {}) => (await read(id, change)).map((entry) => entry.message);

it("tells a sandbox's life in order, also after its end and after a restart, and says why it ended", async () => {
	const { sandboxId } = await world.create();
	await world.pause(sandboxId);
	await world.connect(sandboxId);
	await read(sandboxId);
	await world.crashAndStart();
	world.node.crash({ sandboxId, incarnation: 2 }, "out of memory");
	await expect.poll(() => messages(sandboxId)).toHaveLength(4);
	expect(await messages(sandboxId)).toEqual([
		expect.stringMatching(/^Sandbox started from template /),
		"Sandbox paused",
		"Sandbox resumed",
		"Sandbox ended: out of memory",
	]);
	await expect(world.get(sandboxId)).rejects.toMatchObject({
		code: "not_found",
		message: expect.stringMatching(/doesn't exist or you don't have access to it: it ended at .*Z: out of memory$/),
	});
});

it("keeps what the sandbox prints, and finds it by time, level and text", async () => {
	const { sandboxId } = await world.create();
	const key = { sandboxId, incarnation: 1 };
	world.clock.advance(1_000);
	world.node.print(key, "agent: hook failed", "Hello %_ world");
	world.clock.advance(1_000);
	world.node.print(key, "hello");
	expect((await read(sandboxId)).slice(1)).toMatchObject([
		{ logger: "agent", level: "info", message: "hook failed" },
		{ logger: "sandbox", message: "Hello %_ world" },
		{ logger: "sandbox", message: "hello" },
	]);
	expect(await messages(sandboxId, { search: "Hello" })).toEqual(["Hello %_ world"]);
	expect(await messages(sandboxId, { search: "%" })).toEqual(["Hello %_ world"]);
	expect(await messages(sandboxId, { level: "warn" })).toEqual([]);
	expect(await messages(sandboxId, { direction: "backward", limit: 2 })).toEqual(["hello", "Hello %_ world"]);
	const cursor = world.clock.now() - 1_000;
	expect(await messages(sandboxId, { cursor })).toEqual(["hook failed", "Hello %_ world", "hello"]);
	expect(await messages(sandboxId, { cursor, direction: "backward", limit: 1 })).toEqual(["Hello %_ world"]);
});

it("tells what the sandbox's limits ended in it as a warning", async () => {
	const { sandboxId } = await world.create();
	world.node.limit({ sandboxId, incarnation: 1 }, "Out of memory: killed process 7");
	expect(await read(sandboxId, { level: "warn" })).toMatchObject([
		{ logger: "limits", level: "warn", message: "Out of memory: killed process 7" },
	]);
});

it("keeps the newest entries of a sandbox that prints without end", async () => {
	const { sandboxId } = await world.create();
	for (let round = 0; round < 3; round++) {
		const lines = Array.from({ length: 1_500 }, (_, index) => `${round}-${index}`);
		world.node.print({ sandboxId, incarnation: 1 }, ...lines);
		await read(sandboxId);
	}
	const kept = await messages(sandboxId, { limit: 10_000 });
	expect([kept.length, kept.at(-1)]).toEqual([2_001, "2-1499"]);
	expect(kept[0]).toMatch(/^Sandbox started/);
});

it("shows another team nothing, whether the sandbox lives or not", async () => {
	const other = await world.fleet.teams.create({ slug: "other", name: "other" });
	const { sandboxId } = await world.create();
	await expect(world.control.logs.read(other, sandboxId, QUERY)).rejects.toMatchObject({ code: "not_found" });
	await world.kill(sandboxId);
	await expect(world.control.logs.read(other, sandboxId, QUERY)).rejects.toMatchObject({ code: "not_found" });
	const answer = await world.control.getSandbox(other, sandboxId).catch((error: unknown) => error);
	expect(answer).toMatchObject({ message: `Sandbox "${sandboxId}" doesn't exist or you don't have access to it` });
});
