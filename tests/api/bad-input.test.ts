import { describe, expect, inject, test } from "vitest";
import { newSandbox } from "../support/sandboxes.ts";

interface Answer {
	readonly status: number;
	readonly body: { readonly code?: number; readonly message?: string };
}

async function call(method: string, path: string, body?: string | object, headers: Record<string, string> = {}): Promise<Answer> {
	const { url, sdk } = inject("server");
	const response = await fetch(url + path, {
		method,
		headers: { "X-API-KEY": sdk.apiKey, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
		...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
	});
	const text = await response.text();
	return { status: response.status, body: text === "" ? {} : JSON.parse(text) };
}

const ABSENT = "iaaaaaaaaaaaaaaaaaaaa";

describe("keys", () => {
	const cases: [string, Record<string, string>][] = [
		["no key", {}],
		["a wrong key", { "X-API-KEY": `e2b_${"0".repeat(40)}` }],
		["rubbish as a key", { "X-API-KEY": "'; drop table api_keys; --" }],
	];
	test.each(cases)("%s is answered 401", async (_what, headers) => {
		const response = await fetch(`${inject("server").url}/v2/sandboxes`, { headers });
		expect(response.status).toBe(401);
		expect(await response.json()).toMatchObject({ code: 401, message: expect.stringMatching(/\S/) });
	});
});

describe("unknown things", () => {
	test.each([
		["GET", `/sandboxes/${ABSENT}`, undefined],
		["DELETE", `/sandboxes/${ABSENT}`, undefined],
		["POST", `/sandboxes/${ABSENT}/pause`, {}],
		["POST", `/sandboxes/${ABSENT}/snapshots`, {}],
		["POST", `/sandboxes/${ABSENT}/fork`, {}],
		["POST", `/sandboxes/${ABSENT}/timeout`, { timeout: 5 }],
		["POST", `/v2/sandboxes/${ABSENT}/connect`, {}],
	])("%s %s is answered with the canonical 404", async (method, path, body) => {
		const answer = await call(method, path, body);
		expect(answer).toEqual({
			status: 404,
			body: expect.objectContaining({ code: 404, message: `Sandbox "${ABSENT}" doesn't exist or you don't have access to it` }),
		});
	});

	test("an unknown template is named", async () => {
		const answer = await call("POST", "/v2/sandboxes", { templateID: "no-such-template" });
		expect(answer).toMatchObject({ status: 404, body: { code: 404, message: "template 'no-such-template' not found" } });
	});

	test("an unknown tag is named", async () => {
		const answer = await call("POST", "/v2/sandboxes", { templateID: "base:v9" });
		expect(answer).toMatchObject({ status: 404, body: { message: "tag 'v9' does not exist for template 'base'" } });
	});
});

describe("wrong values are answered 400 and the field is named", () => {
	test.each([
		["timeout", { templateID: "base", timeout: 0 }, /timeout/i],
		["timeout", { templateID: "base", timeout: -5 }, /timeout/i],
		["timeout", { templateID: "base", timeout: 10 ** 12 }, /timeout/i],
		["timeout", { templateID: "base", timeout: "soon" }, /timeout/],
		["templateID", { timeout: 5 }, /templateID/],
		["templateID", { templateID: 7 }, /templateID/],
		["templateID", { templateID: "../../etc/passwd" }, /templateID/],
		["metadata", { templateID: "base", metadata: { a: 1 } }, /metadata/],
		["envVars", { templateID: "base", envVars: ["x"] }, /envVars/],
		["envVars", { templateID: "base", envVars: { "A=B": "x" } }, /envVars\.A=B/],
		["envVars", { templateID: "base", envVars: { A: "\0" } }, /envVars\.A/],
		["network", { templateID: "base", network: { denyOut: ["not-an-address"] } }, /denyOut/],
	])("%s: %j", async (_field, body, expected) => {
		const answer = await call("POST", "/v2/sandboxes", body);
		expect(answer.status).toBe(400);
		expect(answer.body.code).toBe(400);
		expect(answer.body.message).toMatch(expected);
	});

	test.each(["{", "null", "[]", '"text"', "\u0000", '{"templateID":'])("malformed body %j", async (body) => {
		const answer = await call("POST", "/v2/sandboxes", body);
		expect(answer.status).toBe(400);
		expect(answer.body.code).toBe(400);
	});

	test.each([0, -1, 101, 1.5, "x"])("fork count %j", async (count) => {
		const sandbox = await newSandbox();
		const answer = await call("POST", `/sandboxes/${sandbox.sandboxId}/fork`, { count });
		expect(answer.status).toBe(400);
		expect(answer.body.message).toMatch(/count/i);
	});

	test.each(["limit=0", "limit=101", "limit=x", "nextToken=%%%", "nextToken=rubbish", "state=sleeping", "order=up"])(
		"list %s",
		async (query) => {
			expect((await call("GET", `/v2/sandboxes?${query}`)).status).toBe(400);
		},
	);

	test("a name that no grammar allows", async () => {
		const sandbox = await newSandbox();
		const answer = await call("POST", `/sandboxes/${sandbox.sandboxId}/snapshots`, { name: "../up" });
		expect(answer.status).toBe(400);
		expect(answer.body.message).toMatch(/name/);
	});
});
