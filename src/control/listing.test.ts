import { describe, expect, it } from "vitest";
import { World } from "./testing/world.ts";
import type { ListSandboxesQuery } from "./types.ts";

const QUERY: ListSandboxesQuery = {
	states: ["running", "paused"],
	metadata: {},
	limit: 2,
	nextToken: undefined,
	order: "desc",
	startedAfter: undefined,
	template: undefined,
};

async function listAll(world: World, change: Partial<ListSandboxesQuery> = {}): Promise<readonly string[]> {
	const seen: string[] = [];
	let nextToken: string | undefined;
	do {
		const page = await world.control.listSandboxes(world.team, { ...QUERY, ...change, nextToken });
		seen.push(...page.items.map((item) => item.sandboxId));
		nextToken = page.nextToken;
	} while (nextToken !== undefined);
	return seen;
}

async function createFive(world: World): Promise<readonly string[]> {
	const ids: string[] = [];
	for (let n = 0; n < 5; n++) {
		ids.push((await world.create({ metadata: { n: String(n), all: "yes" } })).sandboxId);
		world.clock.advance(1);
	}
	return ids;
}

describe.concurrent("the list of sandboxes", () => {
	it("finds a sandbox by as much metadata as it may have", async () => {
		await using world = await World.open();
		const metadata = Object.fromEntries(Array.from({ length: 256 }, (_, index) => [`key-${index}`, `${index}`]));
		const { sandboxId } = await world.create({ metadata });
		await world.create({ metadata: { ...metadata, "key-255": "other" } });
		expect(await listAll(world, { metadata })).toEqual([sandboxId]);
	});

	it("merges running and paused ones, newest first, and reverses on demand", async () => {
		await using world = await World.open();
		const ids = await createFive(world);
		await world.pause(ids[1] ?? "");
		await world.kill(ids[3] ?? "");
		const expected = [ids[4], ids[2], ids[1], ids[0]];
		expect(await listAll(world)).toEqual(expected);
		expect(await listAll(world, { order: "asc" })).toEqual(expected.toReversed());
		expect(await listAll(world, { states: ["paused"] })).toEqual([ids[1]]);
		expect(await listAll(world, { metadata: { all: "yes", n: "2" } })).toEqual([ids[2]]);
		expect(await listAll(world, { startedAfter: new Date(world.clock.now() - 3) })).toEqual([ids[4], ids[2]]);
		const { totalRunning } = await world.control.listSandboxes(world.team, QUERY);
		expect(totalRunning).toBe(3);
	});

	it("shows every sandbox that stays exactly once, while others come and go between pages", async () => {
		await using world = await World.open();
		const ids = await createFive(world);
		const first = await world.control.listSandboxes(world.team, QUERY);
		await world.create();
		await world.kill(ids[4] ?? "");
		const rest = await listAll(world, { nextToken: first.nextToken, limit: 100 });
		const second = await world.control.listSandboxes(world.team, { ...QUERY, nextToken: first.nextToken, limit: 100 });
		expect(second.items.map((item) => item.sandboxId)).toEqual([ids[2], ids[1], ids[0]]);
		expect(rest).toContain(ids[2]);
	});

	it("filters by template, and refuses a filter with a tag and a token of another list", async () => {
		await using world = await World.open();
		const [source = ""] = await createFive(world);
		await world.snapshot(source, "mine");
		const child = await world.create({ templateRef: "mine" });
		expect(await listAll(world, { template: "mine" })).toEqual([child.sandboxId]);
		expect(await listAll(world, { template: child.templateId })).toEqual([child.sandboxId]);
		expect(await listAll(world, { template: "nosuch" })).toEqual([]);
		await expect(listAll(world, { template: "mine:default" })).rejects.toMatchObject({ code: "invalid_request" });
		const { nextToken } = await world.control.listSandboxes(world.team, QUERY);
		for (const bad of ["", "%%", Buffer.from("never__i1").toString("base64url")]) {
			const query = { ...QUERY, nextToken: bad };
			await expect(world.control.listSandboxes(world.team, query)).rejects.toMatchObject({ message: "Invalid next token" });
		}
		const reversed = { ...QUERY, order: "asc", nextToken } as const;
		await expect(world.control.listSandboxes(world.team, reversed)).rejects.toMatchObject({ message: "Invalid next token" });
	});

	it("shows each team its own, and every other call of a stranger finds nothing", async () => {
		await using world = await World.open();
		const { sandboxId } = await world.create();
		const stranger = await world.fleet.teams.create({ slug: "other", name: "other" });
		const signal = new AbortController().signal;
		const { control } = world;
		expect((await control.listSandboxes(stranger, QUERY)).items).toEqual([]);
		const calls = [
			() => control.getSandbox(stranger, sandboxId),
			() => control.connectSandbox(stranger, sandboxId, { timeout: 60, memory: true }, signal),
			() => control.resumeSandbox(stranger, sandboxId, { timeout: 60, memory: true }, signal),
			() => control.pauseSandbox(stranger, sandboxId, { memory: true, requireHealthyGuest: false }, signal),
			() => control.killSandbox(stranger, sandboxId, signal),
			() => control.setTimeout(stranger, sandboxId, 60),
			() => control.refreshSandbox(stranger, sandboxId, 60),
			() => control.forkSandbox(stranger, sandboxId, 1, 60, signal),
			() => control.createSnapshot(stranger, sandboxId, { name: undefined, memory: true, inheritEnv: true }, signal),
		];
		for (const call of calls) await expect(call()).rejects.toMatchObject({ code: "not_found" });
		expect(await world.get(sandboxId)).toMatchObject({ state: "running" });
	});
});

describe.concurrent("authentication", () => {
	it("knows the team of a key until the key is revoked", async () => {
		await using world = await World.open();
		const { id, key } = await world.fleet.keys.create({ teamId: world.team.id, name: "first" });
		expect(await world.control.authenticate(key)).toEqual(world.team);
		expect(await world.control.authenticate(`${key}0`)).toBeUndefined();
		await world.fleet.keys.revoke(world.team.id, id, new Date());
		expect(await world.control.authenticate(key)).toBeUndefined();
	});
});
