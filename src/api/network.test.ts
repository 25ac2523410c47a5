import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type OpenApi, openApi } from "./testing/open-api.ts";

const RULES = { "api.test": [{ transform: { headers: { Authorization: "Bearer x" } } }], "b.test": [{}] };
let api: OpenApi;
beforeEach(async () => {
	api = await openApi();
});
afterEach(() => api[Symbol.asyncDispose]());

describe("PUT /sandboxes/{id}/network", () => {
	test("passes what was sent on, and nothing for what was not", async () => {
		const { sandboxId } = api.control.add();
		const egressProxy = { address: "proxy.example.com:1080", username: "u", password: "p" };
		const body = { allowOut: ["1.1.1.1"], denyOut: ["0.0.0.0/0"], egressProxy, allow_internet_access: false, rules: RULES };
		expect(await api.call("PUT", `/sandboxes/${sandboxId}/network`, body)).toMatchObject({ status: 204 });
		expect(await api.call("PUT", `/sandboxes/${sandboxId}/network`, {})).toMatchObject({ status: 204 });
		expect(api.control.calls).toEqual([
			[
				"setNetwork",
				sandboxId,
				{ allowOut: ["1.1.1.1"], denyOut: ["0.0.0.0/0"], egressProxy, allowInternetAccess: false, rules: RULES },
			],
			["setNetwork", sandboxId, { allowInternetAccess: undefined }],
		]);
	});

	test.each([
		[{ rules: { "example.com": { headers: { a: "b" } } } }, 400, "rules.example.com"],
		[{ egressProxy: { address: "proxy.test:1080", tls: { enabled: true } } }, 501, "egressProxy.tls"],
		[{ allowOut: "1.1.1.1" }, 400, "allowOut"],
		[{ egressProxy: {} }, 400, "egressProxy.address"],
		[{ allow_internet_access: "no" }, 400, "allow_internet_access"],
	])("refuses %j naming the field", async (body, code, field) => {
		const { sandboxId } = api.control.add();
		expect(await api.call("PUT", `/sandboxes/${sandboxId}/network`, body)).toMatchObject({
			status: code,
			body: { code, message: expect.stringContaining(field) },
		});
		expect(api.control.calls).toEqual([]);
	});
});

test("an egress proxy is passed on at creation, and shown without a password whatever control returns", async () => {
	const egressProxy = { address: "proxy.example.com:1080", username: "u", password: "secret" };
	const { body } = await api.call("POST", "/v2/sandboxes", { templateID: "base", network: { egressProxy } });
	expect(api.control.calls[0]?.[1]).toMatchObject({ network: { egressProxy } });
	const detail = await api.call("GET", `/sandboxes/${(body as { sandboxID: string }).sandboxID}`);
	expect(detail.body).toMatchObject({ network: { egressProxy: { address: "proxy.example.com:1080", username: "u" } } });
	expect(JSON.stringify(detail.body)).not.toContain("secret");
});
