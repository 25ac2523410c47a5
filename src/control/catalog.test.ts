import { afterEach, beforeEach, expect, it } from "vitest";
import { World } from "./testing/world.ts";

const invalid = { code: "invalid_request" };
const notFound = { code: "not_found" };
const forbidden = { code: "forbidden" };
const page = { limit: 100, nextToken: undefined };

let world: World;
beforeEach(async () => {
	world = await World.open();
});
afterEach(() => world[Symbol.asyncDispose]());

it("lists the platform's templates with how often they were used, and no snapshots", async () => {
	const { sandboxId } = await world.create();
	await world.snapshot(sandboxId, "snap");
	await world.fork(sandboxId, 2);
	const { items } = await world.control.catalog.list(world.team, page);
	expect(items).toMatchObject([{ names: ["base"], aliases: ["base"], spawnCount: 3, buildCount: 1, template: { public: true } }]);
	expect(items[0]?.lastSpawnedAt).toEqual(new Date(world.clock.now()));
	const first = await world.control.catalog.list(world.team, { limit: 1, nextToken: undefined });
	expect(first.nextToken).toBeUndefined();
});

it("tells the platform's templates apart from a team's own", async () => {
	const [base] = await world.control.catalog.defaults();
	if (!base) throw new Error("the platform has a template");
	const createdAt = new Date(world.clock.now());
	await world.fleet.transaction(async ({ templates, builds }) => {
		const mine = { id: "mine", teamId: world.team.id, kind: "template", public: true, sourceSandboxId: undefined } as const;
		await templates.insert({ ...mine, createdAt });
		await builds.insert({ ...base.build, id: "22222222-2222-4222-8222-222222222222", templateId: "mine", createdAt });
	});
	expect((await world.control.catalog.list(world.team, page)).items).toHaveLength(2);
	expect((await world.control.catalog.defaults()).map(({ names }) => names)).toEqual([["base"]]);
});

it("pages through the builds of a name, newest first", async () => {
	const { sandboxId } = await world.create();
	for (const tag of ["v1", "v2", "v3"]) {
		await world.snapshot(sandboxId, `snap:${tag}`);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
	const tags = await world.control.catalog.tags(world.team, "local/snap");
	const expected = tags.toSorted((a, b) => (a.tag < b.tag ? 1 : -1)).map((tag) => tag.buildId);
	const seen: string[] = [];
	let nextToken: string | undefined;
	do {
		const found = await world.control.catalog.get(world.team, "snap", { limit: 2, nextToken });
		seen.push(...found.items.map((build) => build.id));
		nextToken = found.nextToken;
	} while (nextToken !== undefined);
	expect(seen).toEqual(expected);
});

it("moves tags between builds; the default one stays", async () => {
	const { catalog } = world.control;
	const { sandboxId } = await world.create();
	await world.snapshot(sandboxId, "snap:v1");
	const { buildId } = await catalog.addTags(world.team, "snap:v1", ["stable", "Stable", "v1.0"]);
	expect((await catalog.tags(world.team, "snap")).map((tag) => [tag.tag, tag.buildId])).toEqual(
		expect.arrayContaining([
			["stable", buildId],
			["v1", buildId],
			["v1.0", buildId],
		]),
	);
	await world.create({ templateRef: "snap:stable" });
	await catalog.removeTags(world.team, "snap", ["stable"]);
	await expect(world.create({ templateRef: "snap:stable" })).rejects.toMatchObject(notFound);
	await expect(catalog.removeTags(world.team, "snap", ["stable"])).rejects.toMatchObject(notFound);
	await expect(catalog.removeTags(world.team, "snap", ["default"])).rejects.toMatchObject(invalid);
	await expect(catalog.removeTags(world.team, "snap:v1", ["v1"])).rejects.toMatchObject(invalid);
	await expect(catalog.addTags(world.team, "snap:none", ["x"])).rejects.toMatchObject(notFound);
	await expect(catalog.addTags(world.team, "snap:v1", ["a b"])).rejects.toMatchObject(invalid);
	await expect(catalog.addTags(world.team, "snap:v1", [])).rejects.toMatchObject(invalid);
});

it("shows a template to other teams only when its owner says so, and lets nobody else change it", async () => {
	const { catalog } = world.control;
	const other = await world.fleet.teams.create({ slug: "other", name: "other" });
	const { sandboxId } = await world.create();
	await world.snapshot(sandboxId, "snap");
	const theirs = () =>
		world.control.createSandbox(other, { ...world.request, templateRef: "local/snap" }, AbortSignal.timeout(5_000));
	await expect(theirs()).rejects.toMatchObject(forbidden);
	await expect(catalog.get(other, "local/snap", page)).rejects.toMatchObject(notFound);
	await expect(catalog.tags(other, "local/snap")).rejects.toMatchObject(notFound);
	expect(await catalog.setVisibility(world.team, "snap", "public")).toEqual(["local/snap"]);
	await theirs();
	const { template, items } = await catalog.get(other, "local/snap", page);
	expect(template).toMatchObject({ names: ["local/snap"], spawnCount: 0, lastSpawnedAt: undefined });
	expect((await catalog.get(world.team, "snap", page)).template.spawnCount).toBe(1);
	expect(await catalog.tags(other, "local/snap")).toMatchObject([{ tag: "default", buildId: items[0]?.id }]);
	for (const refused of [
		catalog.addTags(other, "local/snap", ["x"]),
		catalog.removeTags(other, "local/snap", ["x"]),
		catalog.setVisibility(other, "local/snap", "private"),
	]) {
		await expect(refused).rejects.toMatchObject(notFound);
	}
	await expect(catalog.setVisibility(world.team, "base", "private")).rejects.toMatchObject(forbidden);
	await expect(catalog.addTags(world.team, "base", ["x"])).rejects.toMatchObject(forbidden);
});
