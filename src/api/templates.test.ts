import { afterEach, beforeEach, expect, test } from "vitest";
import { type OpenApi, openApi } from "./testing/open-api.ts";

let api: OpenApi;
beforeEach(async () => {
	api = await openApi();
});
afterEach(() => api[Symbol.asyncDispose]());

const AT = "2026-01-02T03:04:05.000Z";

test("templates have every field that clients require, and come page by page", async () => {
	const { body, headers } = await api.call("GET", "/v2/templates?limit=1");
	expect(body).toEqual([
		{
			templateID: "one",
			buildID: "build-1",
			buildStatus: "ready",
			cpuCount: 2,
			memoryMB: 512,
			diskSizeMB: 1024,
			envdVersion: "0.6.13",
			public: false,
			names: ["acme/x"],
			aliases: ["x"],
			createdAt: AT,
			updatedAt: AT,
			createdBy: null,
			lastSpawnedAt: null,
			spawnCount: 2,
			buildCount: 1,
		},
	]);
	expect(headers.get("x-next-token")).toBe("1");
	expect((await api.call("GET", "/templates?teamID=team-1")).body).toHaveLength(2);
	expect((await api.call("GET", "/templates?teamID=team-2")).status).toBe(403);
});

test("the platform's own have a list, and a tag can be asked for", async () => {
	expect((await api.call("GET", "/default-templates")).body).toMatchObject([{ templateID: "base" }]);
	expect((await api.call("GET", "/templates/x/tags/count")).body).toEqual({ total: 1 });
	expect((await api.call("GET", "/templates/x/tags/exists?tag=%20V1")).body).toEqual({ exists: true, normalizedTag: "v1" });
	expect((await api.call("GET", "/templates/x/tags/exists?tag=v2")).body).toEqual({ exists: false, normalizedTag: "v2" });
});

test("one template comes with its builds", async () => {
	expect((await api.call("GET", "/templates/acme%2Fx")).body).toMatchObject({
		templateID: "acme/x",
		builds: [{ buildID: "build-1", status: "ready", createdAt: AT, updatedAt: AT, cpuCount: 2, memoryMB: 512 }],
	});
});

test("tags are listed, added and removed, visibility is changed", async () => {
	expect((await api.call("GET", "/templates/x/tags")).body).toEqual([{ tag: "v1", buildID: "build-1", createdAt: AT }]);
	const added = await api.call("POST", "/templates/tags", { target: "x:v1", tags: ["a", "b"] });
	expect([added.status, added.body]).toEqual([201, { buildID: "build-1", tags: ["a", "b"] }]);
	expect((await api.call("DELETE", "/templates/tags", { name: "x", tags: ["a"] })).status).toBe(204);
	expect((await api.call("PATCH", "/v2/templates/x", { public: true })).body).toEqual({ names: ["acme/x"] });
	expect((await api.call("PATCH", "/v2/templates/x", {})).status).toBe(400);
});

test("where tags have pointed comes page by page", async () => {
	const line = { assignmentId: "assignment-1", buildId: "build-1", assignedAt: AT, buildCreatedAt: AT, buildFinishedAt: AT };
	const groups = await api.call("GET", "/templates/x/tags/groups?tagsLimit=1&sort=name_asc");
	expect(groups.body).toEqual({ tags: [{ tag: "v1", assignments: [line], hasMore: false }], nextCursor: "1" });
	expect((await api.call("GET", "/templates/x/tags/groups?tagsCursor=1")).body).toMatchObject({ nextCursor: null });
	expect((await api.call("GET", "/templates/x/tags/v1/assignments?limit=1")).body).toEqual({ data: [line], nextCursor: "1" });
	for (const query of ["tagsLimit=0", "assignmentLimit=101", "sort=age"]) {
		expect((await api.call("GET", `/templates/x/tags/groups?${query}`)).status).toBe(400);
	}
});
