import { afterEach, beforeEach, expect, test } from "vitest";
import { type OpenApi, openApi } from "./testing/open-api.ts";

let api: OpenApi;
beforeEach(async () => {
	api = await openApi();
});
afterEach(() => api[Symbol.asyncDispose]());

const METRIC = {
	timestamp: "2026-01-02T03:04:05.678Z",
	timestampUnix: 1_767_323_045,
	cpuCount: 2,
	cpuUsedPct: 12.5,
	memUsed: 1,
	memTotal: 2,
	memCache: 3,
	diskUsed: 4,
	diskTotal: 5,
};

test("measures of a sandbox are asked for by a window of whole seconds", async () => {
	expect((await api.call("GET", "/sandboxes/iabc-6532622b/metrics?start=5&end=7")).body).toEqual([METRIC]);
	expect(api.control.calls.at(-1)).toEqual(["metrics", "iabc", { start: 5_000, end: 7_999 }]);
	expect((await api.call("GET", "/sandboxes/iabc/metrics?start=x")).status).toBe(400);
});

test("measures of several sandboxes come by id, a hundred at most", async () => {
	expect((await api.call("GET", "/sandboxes/metrics?sandbox_ids=a,b")).body).toEqual({ sandboxes: { a: METRIC, b: METRIC } });
	const many = Array.from({ length: 101 }, (_, index) => `i${index}`).join(",");
	expect((await api.call("GET", `/sandboxes/metrics?sandbox_ids=${many}`)).status).toBe(400);
});

test("a team sees its own measures, and the largest of them", async () => {
	expect((await api.call("GET", "/teams/team-1/metrics")).body).toMatchObject([
		{ timestampUnix: 1_767_323_045, concurrentSandboxes: 3, sandboxStartRate: 0.2 },
		{ concurrentSandboxes: 2 },
	]);
	expect((await api.call("GET", "/teams/team-1/metrics/max?metric=concurrent_sandboxes")).body).toMatchObject({ value: 3 });
	expect((await api.call("GET", "/teams/team-1/metrics/max?metric=sandbox_start_rate")).body).toEqual({
		timestamp: "2026-01-02T03:04:10.000Z",
		timestampUnix: 1_767_323_050,
		value: 0.4,
	});
	expect((await api.call("GET", "/teams/team-1/metrics/max?metric=other")).status).toBe(400);
	expect((await api.call("GET", "/teams/team-2/metrics")).status).toBe(404);
});

test("logs come in the forms of both APIs", async () => {
	const entry = { timestamp: "2026-01-02T03:04:05.678Z", level: "warn", message: "hook failed", fields: { logger: "agent" } };
	const { body } = await api.call("GET", "/sandboxes/iabc/logs?start=5&limit=7");
	expect(body.logEntries).toEqual([entry]);
	expect(JSON.parse(body.logs[0].line)).toEqual({ level: "warn", logger: "agent", message: "hook failed" });
	expect(api.control.calls.at(-1)?.[2]).toMatchObject({ cursor: 5, limit: 7, direction: "forward" });
	expect((await api.call("GET", "/v2/sandboxes/iabc/logs?level=warn&search=a%20b")).body).toEqual({ logs: [entry] });
	expect(api.control.calls.at(-1)?.[2]).toEqual({
		cursor: undefined,
		limit: 1_000,
		direction: "backward",
		level: "warn",
		search: "a b",
	});
	for (const query of ["limit=0", "limit=1001", "direction=up", "level=loud"]) {
		expect((await api.call("GET", `/v2/sandboxes/iabc/logs?${query}`)).status).toBe(400);
	}
});
