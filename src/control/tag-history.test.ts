import { afterEach, beforeEach, expect, it } from "vitest";
import { World } from "./testing/world.ts";

let world: World;
beforeEach(async () => {
	world = await World.open();
});
afterEach(() => world[Symbol.asyncDispose]());

const all = { search: undefined, sort: "latest_desc", limit: 25, nextToken: undefined, assignmentLimit: 6 } as const;
const page = { limit: 50, nextToken: undefined };

async function snapshotAt(sandboxId: string, name: string): Promise<string> {
	world.clock.advance(1_000);
	await world.snapshot(sandboxId, name);
	const [, tag] = name.split(":");
	const found = (await world.control.catalog.tags(world.team, "snap")).find((each) => each.tag === (tag ?? "default"));
	if (!found) throw new Error(`no tag ${name}`);
	return found.buildId;
}

it("tells each build that a tag has pointed at, newest first, page by page", async () => {
	const { catalog } = world.control;
	const { sandboxId } = await world.create();
	const builds: string[] = [];
	for (let round = 0; round < 5; round++) builds.unshift(await snapshotAt(sandboxId, "snap:v1"));
	const seen: string[] = [];
	let nextToken: string | undefined;
	do {
		const found = await catalog.tagAssignments(world.team, "snap", "v1", { limit: 2, nextToken });
		seen.push(...found.items.map(({ buildId }) => buildId));
		nextToken = found.nextToken;
	} while (nextToken !== undefined);
	expect(seen).toEqual(builds);
	const { items } = await catalog.tagGroups(world.team, "snap", { ...all, assignmentLimit: 2 });
	expect(items.map(({ tag, hasMore, assignments }) => [tag, hasMore, assignments.length])).toEqual([["v1", true, 2]]);
});

it("orders tags by their last assignment or their name, finds them by a part of it, page by page", async () => {
	const { catalog } = world.control;
	const { sandboxId } = await world.create();
	for (const tag of ["b", "a_1", "a__2", "c", "b"]) await snapshotAt(sandboxId, `snap:${tag}`);
	const tags = async (query: Partial<Parameters<typeof catalog.tagGroups>[2]>) => {
		const seen: string[] = [];
		let nextToken: string | undefined;
		do {
			const found = await catalog.tagGroups(world.team, "snap", { ...all, limit: 1, ...query, nextToken });
			seen.push(...found.items.map(({ tag }) => tag));
			nextToken = found.nextToken;
		} while (nextToken !== undefined);
		return seen;
	};
	expect(await tags({})).toEqual(["b", "c", "a__2", "a_1"]);
	expect(await tags({ sort: "latest_asc" })).toEqual(["a_1", "a__2", "c", "b"]);
	expect(await tags({ sort: "name_asc" })).toEqual(["a_1", "a__2", "b", "c"]);
	expect(await tags({ sort: "name_desc" })).toEqual(["c", "b", "a__2", "a_1"]);
	expect(await tags({ search: "A_" })).toEqual(["a__2", "a_1"]);
	expect(await tags({ search: "%" })).toEqual([]);
	await expect(catalog.tagGroups(world.team, "snap", { ...all, nextToken: "none" })).rejects.toMatchObject({
		code: "invalid_request",
	});
});

it("goes with the tag and with the template, and is nobody else's", async () => {
	const { catalog } = world.control;
	const { sandboxId } = await world.create();
	await snapshotAt(sandboxId, "snap:v1");
	await catalog.addTags(world.team, "snap:v1", ["stable"]);
	await catalog.removeTags(world.team, "snap", ["stable"]);
	expect((await catalog.tagAssignments(world.team, "snap", "stable", page)).items).toEqual([]);
	await catalog.addTags(world.team, "snap:v1", ["stable"]);
	expect((await catalog.tagAssignments(world.team, "snap", "stable", page)).items).toHaveLength(1);
	const other = await world.fleet.teams.create({ slug: "other", name: "other" });
	await catalog.setVisibility(world.team, "snap", "public");
	const notFound = { code: "not_found" };
	await expect(catalog.tagGroups(other, "local/snap", all)).rejects.toMatchObject(notFound);
	await expect(catalog.tagAssignments(other, "local/snap", "v1", page)).rejects.toMatchObject(notFound);
	await world.control.deleteTemplate(world.team, "snap", new AbortController().signal);
	await expect(catalog.tagGroups(world.team, "snap", all)).rejects.toMatchObject(notFound);
});
