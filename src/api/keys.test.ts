import { afterEach, beforeEach, expect, test } from "vitest";
import { ADMIN_TOKEN, API_KEY } from "./testing/known.ts";
import { type OpenApi, openApi } from "./testing/open-api.ts";

let api: OpenApi;
beforeEach(async () => {
	api = await openApi();
});
afterEach(() => api[Symbol.asyncDispose]());

const KEY = {
	id: "key-1",
	name: "first",
	mask: { prefix: "e2b_", valueLength: 40, maskedValuePrefix: "01", maskedValueSuffix: "4567" },
	createdAt: "2026-01-02T03:04:05.000Z",
	createdBy: null,
	firstUsed: null,
	lastUsed: "2026-01-02T03:04:05.000Z",
};

test("keys are shown masked; only the answer to their making has the value", async () => {
	expect((await api.call("GET", "/api-keys")).body).toEqual([KEY]);
	const made = await api.call("POST", "/api-keys", { name: "ci" });
	expect([made.status, made.body]).toEqual([201, { ...KEY, id: "key-2", name: "ci", key: API_KEY }]);
	expect((await api.call("PATCH", "/api-keys/key-1", { name: "x" })).body).toEqual({ ...KEY, name: "x" });
	expect((await api.call("DELETE", "/api-keys/key-1")).status).toBe(204);
	expect((await api.call("POST", "/api-keys", {})).status).toBe(400);
});

test("a team sees itself, with the key it came with", async () => {
	expect((await api.call("GET", "/teams")).body).toEqual([{ teamID: "team-1", name: "Acme", apiKey: API_KEY, isDefault: true }]);
});

test("the operator's routes open for the admin token alone", async () => {
	for (const headers of [{}, { "X-Admin-Token": "wrong" }, { "X-Admin-Token": API_KEY }]) {
		expect(await api.call("GET", "/admin/teams", undefined, headers)).toMatchObject({ status: 401, body: { code: 401 } });
	}
	const headers = { "X-Admin-Token": ADMIN_TOKEN, "X-API-KEY": "" };
	expect((await api.call("GET", "/admin/teams", undefined, headers)).body).toMatchObject([{ slug: "acme" }]);
	const made = await api.call("POST", "/admin/teams", { slug: "new" }, headers);
	expect([made.status, made.body]).toMatchObject([201, { slug: "new", name: "new", apiKey: API_KEY }]);
	const changed = await api.call("PATCH", "/admin/teams/team-1", { maxSandboxes: 3 }, headers);
	expect(changed).toMatchObject({ status: 200, body: { maxSandboxes: 3, maxTimeoutSeconds: null } });
	expect((await api.call("PATCH", "/admin/teams/team-1", { maxSandboxes: "3" }, headers)).status).toBe(400);
	const key = await api.call("POST", "/admin/teams/team-1/api-keys", { name: "given" }, headers);
	expect([key.status, key.body]).toMatchObject([201, { name: "given", key: API_KEY }]);
	expect((await api.call("DELETE", "/admin/teams/team-1/api-keys/key-1", undefined, headers)).status).toBe(204);
	expect((await api.call("POST", "/admin/teams/other/api-keys", { name: "x" }, headers)).status).toBe(404);
	expect((await api.call("POST", "/admin/teams/team-1/sandboxes/kill", undefined, headers)).body).toEqual({
		killedCount: 3,
		failedCount: 0,
	});
});

test("a limit that is null is the server's again, one that is left out stays", async () => {
	const change = async (limits: object) => {
		const { status, body } = await api.call("PATCH", "/admin/teams/team-1", limits, { "X-Admin-Token": ADMIN_TOKEN });
		return [status, body.maxSandboxes];
	};
	expect(await change({ maxTimeoutSeconds: 60 })).toEqual([200, 5]);
	expect(await change({ maxSandboxes: 3 })).toEqual([200, 3]);
	expect(await change({ maxSandboxes: null })).toEqual([200, null]);
});

test("the operator sees the hosts, what they hold and what runs on them", async () => {
	const headers = { "X-Admin-Token": ADMIN_TOKEN, "X-API-KEY": "" };
	expect((await api.call("GET", "/nodes")).status).toBe(401);
	const { body } = await api.call("GET", "/nodes", undefined, headers);
	expect(body).toMatchObject([
		{
			id: "node-1",
			status: "ready",
			sandboxCount: 2,
			sandboxStartingCount: 1,
			createSuccesses: 7,
			createFails: 1,
			machineInfo: { cpuModelName: "Test" },
			metrics: { allocatedCPU: 4, cpuPercent: 13, memoryUsedBytes: 5_000, disks: [{ mountPoint: "/", usedBytes: 300 }] },
		},
	]);
	expect((await api.call("GET", "/nodes/node-1", undefined, headers)).body).toMatchObject({ cachedBuilds: ["build-1"] });
	expect((await api.call("GET", "/nodes/other", undefined, headers)).status).toBe(404);
	expect((await api.call("GET", "/admin/sandboxes/running-counts", undefined, headers)).body).toEqual({ "team-1": 2 });
	expect((await api.call("POST", "/nodes/node-1", { status: "draining" }, headers)).status).toBe(204);
	expect((await api.call("GET", "/nodes", undefined, headers)).body).toMatchObject([{ status: "draining" }]);
	expect((await api.call("POST", "/nodes/other", { status: "ready" }, headers)).status).toBe(404);
	expect((await api.call("POST", "/nodes/node-1", { status: "tired" }, headers)).status).toBe(400);
});

test("the operator takes a team's place by naming it", async () => {
	const as = (headers: Record<string, string>) => api.call("GET", "/v2/sandboxes", undefined, { "X-API-KEY": "", ...headers });
	expect((await as({ "X-Admin-Token": ADMIN_TOKEN, "X-Team-ID": "team-1" })).status).toBe(200);
	expect((await as({ "X-Admin-Token": ADMIN_TOKEN, "X-Team-ID": "other" })).status).toBe(404);
	expect((await as({ "X-Admin-Token": ADMIN_TOKEN })).status).toBe(401);
	expect((await as({ "X-Admin-Token": "wrong", "X-Team-ID": "team-1" })).status).toBe(401);
	expect((await as({ "X-Admin-Token": "wrong", "X-API-KEY": API_KEY })).status).toBe(401);
});

test("the operator sees the team whose place is taken, without any key", async () => {
	for (const key of ["", API_KEY]) {
		const headers = { "X-API-KEY": key, "X-Admin-Token": ADMIN_TOKEN, "X-Team-ID": "team-1" };
		const { status, body } = await api.call("GET", "/teams", undefined, headers);
		expect([status, body]).toEqual([200, [{ teamID: "team-1", name: "Acme", apiKey: "", isDefault: true }]]);
	}
});

test("a key opens no other team than its own, and says so to who names another", async () => {
	const as = (team: string) => api.call("GET", "/v2/sandboxes", undefined, { "X-Team-ID": team });
	expect([(await as("team-1")).status, (await as("")).status]).toEqual([200, 200]);
	expect(await as("team-2")).toMatchObject({ status: 403, body: { code: 403, message: expect.stringContaining("X-Team-ID") } });
	expect((await api.call("GET", "/v2/sandboxes", undefined, { "X-API-KEY": "wrong", "X-Team-ID": "team-2" })).status).toBe(401);
});

test("tokens of users are gone, and a word says what to use instead", async () => {
	for (const [method, path] of [
		["POST", "/access-tokens"],
		["DELETE", "/access-tokens/x"],
	] as const) {
		expect(await api.call(method, path, {})).toMatchObject({
			status: 410,
			body: { code: 410, message: expect.stringContaining("/api-keys") },
		});
	}
	const headers = { "X-Admin-Token": ADMIN_TOKEN };
	expect((await api.call("POST", "/admin/teams/team-1/builds/cancel", undefined, headers)).status).toBe(501);
});
