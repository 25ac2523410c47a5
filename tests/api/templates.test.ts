/** Names, tags and visibility of templates, through the JavaScript client where it has the call. */
import { randomUUID } from "node:crypto";
import { Sandbox, Template, TemplateError } from "e2b";
import { expect, test } from "vitest";
import { rest } from "../support/rest.ts";
import { deleteAtEnd, killAtEnd, newSandbox, sdk } from "../support/sandboxes.ts";
import { newTeam } from "../support/teams.ts";

const newName = () => `named-${randomUUID().slice(0, 8)}`;
const newest = async (name: string, tag: string) => (await tagsOf(name)).find((each) => each.tag === tag)?.buildId;
const tagsOf = (name: string) => Template.getTags(name, sdk());

test("tags are assigned, started from, moved and removed", async () => {
	const name = newName();
	const source = await newSandbox();
	await source.files.write("/tmp/which", "first");
	deleteAtEnd((await source.createSnapshot({ name: `${name}:v1` })).snapshotId);
	const { buildId, tags } = await Template.assignTags(`${name}:v1`, ["stable", "Kept", "kept"], sdk());
	expect(tags.toSorted()).toEqual(["kept", "stable"]);
	await source.files.write("/tmp/which", "second");
	await source.createSnapshot({ name: `${name}:v2` });
	const which = async (tag: string) => (await newSandbox(`${name}:${tag}`)).files.read("/tmp/which");
	expect(await which("stable")).toBe("first");
	await Template.assignTags(`${name}:v2`, "stable", sdk());
	expect(await which("stable")).toBe("second");
	expect(Object.fromEntries((await tagsOf(name)).map((each) => [each.tag, each.buildId]))).toEqual({
		v1: buildId,
		kept: buildId,
		v2: expect.not.stringMatching(buildId),
		stable: await newest(name, "v2"),
	});
	expect((await rest("GET", `/templates/${name}/tags/count`)).body).toEqual({ total: 4 });
	await Template.removeTags(name, ["stable", "kept"], sdk());
	expect((await tagsOf(name)).map(({ tag }) => tag).toSorted()).toEqual(["v1", "v2"]);
	await expect(Sandbox.create(`${name}:stable`, sdk())).rejects.toThrow(`tag 'stable' does not exist for template '${name}'`);
	const { body } = await rest("GET", `/templates/${name}?limit=1`);
	expect(body.builds.map(({ buildID }: { buildID: string }) => buildID)).toEqual([await newest(name, "v2")]);
});

test("a snapshot without a name that has further tags is listed under each of them", async () => {
	const source = await newSandbox();
	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	const templateId = snapshotId.replace(/:default$/, "");
	await Template.assignTags(snapshotId, ["kept"], sdk());
	const listed = await Sandbox.listSnapshots({ ...sdk(), sandboxId: source.sandboxId }).nextItems();
	expect(listed.map((each) => each.snapshotId).toSorted()).toEqual([snapshotId, `${templateId}:kept`]);
	await (await Sandbox.create(`${templateId}:kept`, sdk())).kill();
});

test("where a tag has pointed is kept, newest first, page by page", async () => {
	const name = newName();
	const source = await newSandbox();
	const builds: unknown[] = [];
	for (let round = 0; round < 3; round++) {
		const { snapshotId } = await source.createSnapshot({ name: `${name}:v1` });
		if (round === 0) deleteAtEnd(snapshotId);
		builds.unshift(await newest(name, "v1"));
	}
	const seen: unknown[] = [];
	let cursor = "";
	do {
		const { body } = await rest("GET", `/templates/${name}/tags/v1/assignments?limit=2${cursor}`);
		seen.push(...body.data.map((each: { buildId: string }) => each.buildId));
		cursor = body.nextCursor === null ? "" : `&cursor=${body.nextCursor}`;
	} while (cursor !== "");
	expect(seen).toEqual(builds);
	await Template.assignTags(`${name}:v1`, "alpha", sdk());
	const groups = async (query: string) => (await rest("GET", `/templates/${name}/tags/groups?${query}`)).body;
	expect(await groups("sort=name_desc&assignmentLimit=2")).toMatchObject({
		tags: [
			{ tag: "v1", hasMore: true, assignments: [{ buildId: builds[0] }, { buildId: builds[1] }] },
			{ tag: "alpha", hasMore: false, assignments: [{ buildId: builds[0], assignmentId: expect.any(String) }] },
		],
		nextCursor: null,
	});
	const { tags, nextCursor } = await groups("tagsLimit=1&sort=name_asc");
	expect([tags[0].tag, (await groups(`tagsLimit=1&sort=name_asc&tagsCursor=${nextCursor}`)).tags[0].tag]).toEqual([
		"alpha",
		"v1",
	]);
	expect((await groups("search=ALPH")).tags).toHaveLength(1);
});

test("names are there or not, and a team's own name wins over the platform's", async () => {
	const { apiKey, slug } = await newTeam();
	const options = { ...sdk(), apiKey };
	expect([await Template.exists("base", options), await Template.exists("no-such-name", options)]).toEqual([true, false]);
	expect(await Template.aliasExists("code-interpreter-v1", options)).toBe(true);
	expect([await Template.exists("base:default", options), await Template.exists("base:nosuch", options)]).toEqual([true, false]);
	const source = killAtEnd(await Sandbox.create("base", options));
	await source.files.write("/tmp/mine", "yes");
	const { snapshotId } = await source.createSnapshot({ name: "base" });
	expect(snapshotId).toBe(`${slug}/base:default`);
	const child = await Sandbox.create("base", options);
	expect(await child.files.read("/tmp/mine")).toBe("yes");
	await child.kill();
	expect(await Template.exists(`${slug}/base`, sdk())).toBe(true);
	expect((await rest("GET", `/templates/aliases/${slug}%2Fbase`)).status).toBe(403);
	expect(await Sandbox.deleteSnapshot(snapshotId, options)).toBe(true);
	await (await Sandbox.create("base", options)).kill();
});

test("a template is shown to other teams and hidden again, by its owner alone", async () => {
	const name = newName();
	const source = await newSandbox();
	const { snapshotId } = await source.createSnapshot({ name });
	deleteAtEnd(snapshotId);
	const full = snapshotId.replace(/:default$/, "");
	const { apiKey } = await newTeam();
	const options = { ...sdk(), apiKey };
	await expect(Sandbox.create(full, options)).rejects.toThrow("403");
	const show = (path: string, shown: boolean, key: string) =>
		rest("PATCH", `${path}/${encodeURIComponent(full)}`, { public: shown }, { "X-API-KEY": key });
	expect(await show("/v2/templates", true, sdk().apiKey)).toMatchObject({ status: 200, body: { names: [full] } });
	await (await Sandbox.create(full, options)).kill();
	const path = `/templates/${encodeURIComponent(full)}`;
	const read = (end: string) => rest("GET", path + end, undefined, { "X-API-KEY": apiKey });
	expect((await read("")).body).toMatchObject({ names: [full], public: true, spawnCount: 0, lastSpawnedAt: null });
	expect((await rest("GET", path)).body).toMatchObject({ spawnCount: 1, lastSpawnedAt: expect.any(String) });
	expect((await read("/tags")).body).toMatchObject([{ tag: "default" }]);
	expect((await read("/tags/groups")).status).toBe(404);
	expect((await show("/v2/templates", false, apiKey)).status).toBe(404);
	await expect(Template.assignTags(full, "stolen", options)).rejects.toThrow(TemplateError);
	expect((await show("/templates", false, sdk().apiKey)).status).toBe(200);
	await expect(Sandbox.create(full, options)).rejects.toThrow("403");
	expect([(await read("")).status, (await read("/tags")).status]).toEqual([404, 404]);
	await expect(Sandbox.deleteSnapshot("base", options)).rejects.toThrow("403");
});

test("templates have every field that clients require, and come page by page", async () => {
	const ids: string[] = [];
	let query = "?limit=1";
	do {
		const { body, headers } = await rest("GET", `/v2/templates${query}`);
		expect(body).toMatchObject([{ createdBy: null, buildStatus: "ready", names: [expect.any(String)], buildCount: 1 }]);
		ids.push(body[0].templateID);
		const next = headers.get("x-next-token");
		query = next === null ? "" : `?limit=1&nextToken=${next}`;
	} while (query !== "");
	expect(new Set(ids).size).toBe(ids.length);
	expect((await rest("GET", "/templates")).body.map((each: { templateID: string }) => each.templateID)).toEqual(ids);
});
