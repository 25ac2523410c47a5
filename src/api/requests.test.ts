import { request } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { API_KEY, DOMAIN } from "./testing/known.ts";
import { type OpenApi, openApi } from "./testing/open-api.ts";

let api: OpenApi;
beforeEach(async () => {
	api = await openApi();
});
afterEach(() => api[Symbol.asyncDispose]());

describe("authentication", () => {
	test.each([
		["no key", {}, "authorization header is missing"],
		["a wrong key", { "X-API-KEY": `e2b_${"f".repeat(40)}` }, "Invalid API key"],
		["another scheme", { Authorization: "Basic abc" }, "authorization header is malformed"],
		["a token of a user", { Authorization: "Bearer eyJ.x.y" }, "Invalid API key"],
	])("refuses %s", async (_name, headers, message) => {
		const answer = await fetch(`${api.url}/v2/sandboxes`, { method: "POST", headers, body: "not even JSON" });
		expect(answer.status).toBe(401);
		expect(await answer.json()).toMatchObject({ code: 401, message: expect.stringContaining(message) });
	});

	test("takes the key in either header", async () => {
		for (const headers of [{ "x-api-key": API_KEY }, { authorization: `Bearer ${API_KEY}` }]) {
			expect((await fetch(`${api.url}/v2/sandboxes`, { headers })).status).toBe(200);
		}
	});
});

describe("creating", () => {
	test("fills in the defaults of the second API", async () => {
		const { status, body } = await api.call("POST", "/v2/sandboxes", { templateID: "base", mcp: null, someday: { a: 1 } });
		expect(status).toBe(201);
		expect(body).toEqual({
			templateID: "base",
			sandboxID: expect.stringMatching(/^i[a-z0-9]{20}$/),
			clientID: "6532622b",
			envdVersion: "0.6.13",
			envdAccessToken: "envd-token",
			trafficAccessToken: null,
			domain: DOMAIN,
		});
		expect(api.control.calls).toEqual([
			[
				"create",
				{
					templateRef: "base",
					timeout: { upTo: 300 },
					autoPause: false,
					autoPauseMemory: true,
					autoResume: false,
					secure: true,
					allowInternetAccess: undefined,
					network: undefined,
					metadata: {},
					envs: {},
				},
			],
		]);
	});

	test("passes on everything that was asked for", async () => {
		const network = { allowPublicTraffic: false, allowOut: ["1.1.1.1"], denyOut: ["0.0.0.0/0"], httpsPorts: [8443] };
		const { body } = await api.call("POST", "/v2/sandboxes", {
			templateID: "acme/base:v1",
			timeout: 60,
			autoPause: true,
			autoResume: { enabled: true },
			allow_internet_access: false,
			network,
			metadata: { a: "b" },
			envVars: { K: "V" },
		});
		expect(body.trafficAccessToken).toBe("traffic-token");
		expect(api.control.calls[0]?.[1]).toMatchObject({
			templateRef: "acme/base:v1",
			timeout: 60,
			autoPause: true,
			autoResume: true,
			allowInternetAccess: false,
			network,
			metadata: { a: "b" },
			envs: { K: "V" },
		});
	});

	test("knows the defaults of the first API", async () => {
		const { body } = await api.call("POST", "/sandboxes", { templateID: "base" });
		expect(body).not.toHaveProperty("envdAccessToken");
		await api.call("POST", "/sandboxes", { templateID: "base", secure: true });
		expect(api.control.calls.map((call) => call[1])).toMatchObject([{ timeout: { upTo: 15 }, secure: false }, { secure: true }]);
	});

	test.each([
		[{ volumeMounts: [{ name: "v", path: "/v" }] }, 501, "volumeMounts"],
		[{ network: { rules: { "a.test": [{ transform: { headers: { a: 1 } } }] } } }, 400, "network.rules.a.test"],
		[{ network: { egressProxy: { username: "a" } } }, 400, "network.egressProxy"],
		[{ iam: { tokens: {} } }, 501, "iam"],
		[{ mcp: {} }, 501, "mcp"],
		[{ autoPauseMemory: false }, 400, "autoPause"],
		[{ autoPauseMemory: false, autoPause: true, autoResume: { enabled: true } }, 400, "autoResume"],
	])("refuses %o rather than ignore it", async (more, code, field) => {
		const { status, body } = await api.call("POST", "/v2/sandboxes", { templateID: "base", ...more });
		expect([status, body.code]).toEqual([code, code]);
		expect(body.message).toContain(field);
	});
});

test("resuming may say what happens at the end from then on", async () => {
	for (const body of [{}, { autoPause: true }, { timeout: 60, autoPause: false }]) {
		const { sandboxId } = api.control.add({ state: "paused" });
		expect((await api.call("POST", `/sandboxes/${sandboxId}/resume`, body)).status).toBe(201);
	}
	expect(api.control.calls.map((call) => call[2])).toEqual([
		{ timeout: { upTo: 15 }, memory: true, autoPause: undefined },
		{ timeout: { upTo: 15 }, memory: true, autoPause: true },
		{ timeout: 60, memory: true, autoPause: false },
	]);
});

describe("bad input", () => {
	test.each<[string, unknown, string]>([
		["/v2/sandboxes", {}, "templateID is required"],
		["/v2/sandboxes", { templateID: 7 }, "templateID must be string"],
		["/v2/sandboxes", { templateID: "base", timeout: "60" }, "timeout must be integer"],
		["/v2/sandboxes", { templateID: "base", timeout: 1.5 }, "timeout must be integer"],
		["/v2/sandboxes", { templateID: "base", timeout: 1e300 }, "timeout must be <= 2147483647"],
		["/v2/sandboxes", { templateID: "base", metadata: { a: 1 } }, "metadata.a must be string"],
		["/v2/sandboxes", { templateID: "base", network: { denyOut: [1] } }, "network.denyOut.0 must be string"],
		["/v2/sandboxes", [], "body must be object"],
		["/sandboxes/iabc/timeout", {}, "timeout is required"],
		["/sandboxes/iabc/connect", {}, "timeout is required"],
		["/sandboxes/iabc/refreshes", { duration: 3601 }, "duration must be <= 3600"],
		["/sandboxes/iabc/fork", { count: "2" }, "count must be integer"],
	])("%s with %j names the field", async (path, sent, message) => {
		const { status, body } = await api.call("POST", path, sent);
		expect(status).toBe(400);
		expect(body).toEqual({ code: 400, message: `validation error: ${message}` });
		expect(api.control.calls).toEqual([]);
	});

	test("what may be many has a limit, and the field is named", async () => {
		const metadata = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"]));
		const pairs = (count: number) => encodeURIComponent(new URLSearchParams(metadata(count)).toString());
		const tags = (count: number) => Array.from({ length: count }, (_, index) => `t${index}`);
		const statuses = async (count: number) => {
			const made = await api.call("POST", "/v2/sandboxes", { templateID: "base", metadata: metadata(count) });
			const lists = ["/v2/sandboxes", "/sandboxes"].map((path) => api.call("GET", `${path}?metadata=${pairs(count)}`));
			const added = await api.call("POST", "/templates/tags", { target: "x:v1", tags: tags(count) });
			const removed = await api.call("DELETE", "/templates/tags", { name: "x", tags: tags(count) });
			const all = [made, ...(await Promise.all(lists)), added, removed];
			return all.map(({ status, body }) => [status, /(metadata|tags) \D+ 256/.exec(body?.message)?.[1]]);
		};
		expect(await statuses(256)).toEqual([201, 200, 200, 201, 204].map((status) => [status, undefined]));
		expect(await statuses(257)).toEqual(["metadata", "metadata", "metadata", "tags", "tags"].map((field) => [400, field]));
		await api.call("GET", `/v2/sandboxes?state=${"running,".repeat(5_000)}`);
		expect(api.control.calls.at(-1)?.[1]).toMatchObject({ states: ["running"] });
	});

	test.each(["{", '{"templateID":', "nonsense", "[".repeat(200_000), '{"a":"\\ud800"'])(
		"malformed JSON is a 400",
		async (text) => {
			const { status, body } = await api.call("POST", "/v2/sandboxes", text);
			expect(status).toBe(400);
			expect(body).toMatchObject({ code: 400, message: expect.stringContaining("Error when parsing request") });
		},
	);

	test.each([
		["GET", "/v2/sandboxes?limit=0", "limit"],
		["GET", "/v2/sandboxes?limit=101", "limit"],
		["GET", "/v2/sandboxes?limit=1&limit=2", "limit"],
		["GET", "/v2/sandboxes?limit=ten", "limit"],
		["GET", "/v2/sandboxes?state=running,dead", "state"],
		["GET", "/v2/sandboxes?order=up", "order"],
		["GET", "/v2/sandboxes?startedAfter=yesterday", "startedAfter"],
		["GET", "/v2/sandboxes?metadata=%2525", "metadata"],
		["GET", "/snapshots?sandboxID=..%2F", "sandbox ID"],
		["GET", "/sandboxes/a-b-c", "sandbox ID"],
		["GET", "/sandboxes/%zz", "%zz"],
	])("%s %s is a 400", async (method, path, field) => {
		const { status, body } = await api.call(method, path);
		expect(status).toBe(400);
		expect(body).toMatchObject({ code: 400, message: expect.stringContaining(field) });
	});

	test("a body that is too large is a 413", async () => {
		const { status, body } = await api.call("POST", "/v2/sandboxes", `"${"x".repeat(17 << 20)}"`);
		expect([status, body.code]).toEqual([413, 413]);
	});

	test("an id of any length is a JSON answer", async () => {
		for (const length of [65, 1_500, 10_000]) {
			const { status, body } = await api.call("GET", `/sandboxes/${"x".repeat(length)}`);
			expect(status).toBe(body.code);
			expect([400, 404, 414]).toContain(status);
		}
	});

	test("unknown routes and methods are a 404 in JSON, with and without a key", async () => {
		for (const headers of [{}, { "X-API-KEY": "" }]) {
			for (const path of ["/nothing", "/v9/sandboxes", "/../etc/passwd"]) {
				expect(await api.call("POST", path, undefined, headers)).toMatchObject({ status: 404, body: { code: 404 } });
			}
		}
	});

	test("fields that could poison objects are dropped", async () => {
		await api.call(
			"POST",
			"/v2/sandboxes",
			'{"templateID":"base","__proto__":{"timeout":1},"metadata":{"__proto__":"x","constructor":"y"}}',
		);
		expect(api.control.calls[0]?.[1]).toMatchObject({ timeout: { upTo: 300 }, metadata: { constructor: "y" } });
	});
});

describe("bodies", () => {
	test("are optional, in every way a client may leave them out", async () => {
		for (const body of [undefined, "", "{}", "null"]) {
			const { sandboxId } = api.control.add();
			expect((await api.call("POST", `/sandboxes/${sandboxId}/pause`, body)).status).toBe(204);
			expect((await api.call("POST", `/v2/sandboxes/${sandboxId}/connect`, body)).status).toBe(201);
		}
		expect(api.control.calls.filter(([name]) => name === "connect").map((call) => call[2])).toEqual(
			Array(4).fill({ timeout: { upTo: 300 }, memory: true }),
		);
	});

	test.each(["application/json", "application/json; charset=utf-8", "text/plain", "application/octet-stream", "x/y"])(
		"are JSON under the content type %s",
		async (type) => {
			const answer = await api.call("POST", "/v2/sandboxes", { templateID: "base" }, { "Content-Type": type });
			expect(answer.status).toBe(201);
		},
	);

	test("may be chunked and carry no content type", async () => {
		const status = await new Promise((resolve, reject) => {
			const req = request(`${api.url}/v2/sandboxes`, { method: "POST", headers: { "X-API-KEY": API_KEY } });
			req.once("response", (res) => resolve(res.statusCode)).once("error", reject);
			req.write('{"templateID":');
			req.end('"base"}');
		});
		expect(status).toBe(201);
	});
});
