import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { OffshootError } from "../protocol/index.ts";
import { API_KEY, DOMAIN } from "./testing/known.ts";
import { type OpenApi, openApi } from "./testing/open-api.ts";

let api: OpenApi;
beforeEach(async () => {
	api = await openApi();
});
afterEach(() => api[Symbol.asyncDispose]());

describe("answers", () => {
	test("of the detail view are complete", async () => {
		const { sandboxId } = api.control.add({
			alias: "base",
			accessToken: "t",
			network: { denyOut: ["1.1.1.1"] },
			state: "paused",
		});
		const { body } = await api.call("GET", `/sandboxes/${sandboxId}-6532622b`);
		expect(body).toEqual({
			templateID: "base",
			sandboxID: sandboxId,
			clientID: "6532622b",
			envdVersion: "0.6.13",
			alias: "base",
			envdAccessToken: "t",
			domain: DOMAIN,
			startedAt: "2026-01-02T03:04:05.678Z",
			endAt: "2026-01-02T03:09:05.678Z",
			state: "paused",
			cpuCount: 2,
			memoryMB: 512,
			diskSizeMB: 1024,
			metadata: {},
			volumeMounts: [],
			network: { denyOut: ["1.1.1.1"] },
			allowInternetAccess: null,
			lifecycle: { onTimeout: "kill", autoResume: false },
		});
	});

	test("of control's refusals carry code, machine code and retry advice", async () => {
		api.control.failNext = new OffshootError("busy", "no room", {
			errorCode: "sandbox_capacity_unavailable",
			retryAfterSeconds: 1.2,
			shouldRetry: false,
		});
		const { status, body, headers } = await api.call("GET", "/sandboxes/iabc");
		expect([status, body]).toEqual([503, { code: 503, message: "no room", error_code: "sandbox_capacity_unavailable" }]);
		expect([headers.get("retry-after"), headers.get("should-retry")]).toEqual(["2", "false"]);
	});

	test("of defects tell nothing about them", async () => {
		api.control.failNext = new Error("secret detail");
		const { status, body } = await api.call("GET", "/sandboxes/iabc");
		expect([status, body]).toEqual([500, { code: 500, message: "internal server error", error_code: "internal_server_error" }]);
	});

	test("and all other answers name the line of the server's log", async () => {
		api.control.failNext = new Error("secret detail");
		const asked = ["/sandboxes/iabc", "/v2/sandboxes", "/none", "/health"].map((path) => api.call("GET", path));
		const names = (await Promise.all(asked)).map(({ headers }) => headers.get("x-e2b-trace-id"));
		for (const name of names) expect(name).toMatch(/^[0-9a-f]{32}$/);
		expect(new Set(names).size).toBe(4);
		expect(api.log.filter(({ level }) => level === "error")).toMatchObject([
			{ reqId: names[0], err: { message: "secret detail" } },
		]);
	});

	test("of what a stopping server cuts off ask to come again", async () => {
		api.shutdown.abort();
		api.control.failNext = new DOMException("aborted", "AbortError");
		expect(await api.call("GET", "/sandboxes/iabc")).toMatchObject({ status: 503, body: { code: 503 } });
	});

	test("of unknown sandboxes are the canonical 404", async () => {
		const { status, body } = await api.call("DELETE", "/sandboxes/iabc");
		expect([status, body]).toEqual([404, { code: 404, message: `Sandbox "iabc" doesn't exist or you don't have access to it` }]);
	});
});

describe("lists", () => {
	test("read every encoding of their parameters", async () => {
		await api.call(
			"GET",
			"/v2/sandboxes?metadata=a%252520b%3Dc%252526d&state=running%2Cpaused&order=asc&limit=7&nextToken=x%3D%3D&template=base&startedAfter=2026-01-01T00:00:00%2B01:00",
		);
		await api.call("GET", "/v2/sandboxes?state=paused&state=running");
		expect(api.control.calls.map((call) => call[1])).toMatchObject([
			{
				metadata: { "a b": "c&d" },
				states: ["running", "paused"],
				order: "asc",
				limit: 7,
				nextToken: "x==",
				template: "base",
				startedAfter: new Date("2025-12-31T23:00:00Z"),
			},
			{ states: ["paused", "running"], order: "desc", limit: 100 },
		]);
	});

	test("announce the next page and the total, readable across origins", async () => {
		for (let count = 0; count < 3; count++) api.control.add();
		const first = await api.call("GET", "/v2/sandboxes?limit=2&state=running", undefined, { Origin: "https://page.test" });
		expect(first.body).toHaveLength(2);
		expect([first.headers.get("x-next-token"), first.headers.get("x-total-running")]).toEqual(["2", "3"]);
		expect(first.headers.get("access-control-expose-headers")).toMatch(/X-Next-Token.*X-Total-Running/i);
		const last = await api.call("GET", "/v2/sandboxes?limit=2&nextToken=2&state=paused");
		expect(last.headers.has("x-next-token") || last.headers.has("x-total-running")).toBe(false);
	});

	test("of the first API have no pages", async () => {
		for (let count = 0; count < 205; count++) api.control.add();
		api.control.add({ state: "paused" });
		expect((await api.call("GET", "/sandboxes")).body).toHaveLength(205);
	});
});

describe("routes", () => {
	test("take path parameters encoded as one segment", async () => {
		await api.call("DELETE", "/templates/acme%2Fsnap%3Adefault");
		await api.call("GET", "/templates/aliases/acme%2Fbase");
		expect(api.control.calls).toEqual([
			["deleteTemplate", "acme/snap:default"],
			["alias", "acme/base"],
		]);
	});

	test.each([
		["POST", "/v3/templates"],
		["GET", "/templates/x/builds/y/status"],
		["GET", "/volumes"],
		["POST", "/secrets"],
		["PUT", "/volumecontent/x/file?path=/a"],
	])("%s %s is known, and not there yet", async (method, path) => {
		expect(await api.call(method, path)).toMatchObject({ status: 501, body: { code: 501 } });
	});

	test("answer preflights without a key", async () => {
		const answer = await fetch(`${api.url}/v2/sandboxes`, {
			method: "OPTIONS",
			headers: {
				Origin: "https://page.test",
				"Access-Control-Request-Method": "POST",
				"Access-Control-Request-Headers": "x-api-key",
			},
		});
		expect(answer.status).toBe(204);
		expect(answer.headers.get("access-control-allow-origin")).toBe("*");
		expect(answer.headers.get("access-control-allow-headers")).toMatch(/x-api-key/i);
	});

	test("are documented by the schemas that check them", async () => {
		const { body: document } = await api.call("GET", "/openapi.json", undefined, { "X-API-KEY": "" });
		expect(document.openapi).toMatch(/^3\./);
		expect(Object.keys(document.paths)).toContain("/v2/sandboxes/{sandboxID}/connect");
		expect(document.paths["/v2/sandboxes"].post.requestBody.content["application/json"].schema.required).toEqual(["templateID"]);
		expect(Object.keys(document.paths)).not.toContain("/secrets");
	});

	test("health needs no key", async () => {
		expect((await fetch(`${api.url}/health`)).status).toBe(204);
	});
});

test("an operation goes on when its client has left", async () => {
	let finish: (value: unknown) => void = () => {};
	const seen: AbortSignal[] = [];
	const done = new Promise((resolve) => {
		api.control.pauseSandbox = async (_team, _id, _request, signal?: AbortSignal) => {
			if (signal) seen.push(signal);
			await new Promise((resume) => {
				finish = resume;
			});
			resolve(signal?.aborted);
		};
	});
	const leaving = new AbortController();
	const left = fetch(`${api.url}/sandboxes/iabc/pause`, {
		method: "POST",
		headers: { "X-API-KEY": API_KEY },
		signal: leaving.signal,
	});
	await expect.poll(() => seen.length).toBe(1);
	leaving.abort();
	await expect(left).rejects.toThrow();
	finish(undefined);
	expect(await done).toBe(false);
});
