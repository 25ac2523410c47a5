import { describe, expect, test } from "vitest";
import { checkSignedAccess, checkToken, signature } from "./auth.ts";

const TOKEN = "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0";

function access(query: Record<string, string>, header?: string) {
	return { operation: "read", header, query: new URLSearchParams(query), now: 1000 } as const;
}

describe("signatures", () => {
	test("the published vector comes out", () => {
		const query = new URLSearchParams({ path: "hello.txt", username: "user" });
		expect(signature(TOKEN, "read", query)).toBe("v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E");
	});

	test("a signature of a read does not allow a write", () => {
		const query = { path: "a", username: "user" };
		const signed = { ...query, signature: signature(TOKEN, "write", new URLSearchParams(query)) };
		expect(() => checkSignedAccess(TOKEN, access(signed))).toThrow("invalid signature");
	});

	test("missing, then wrong, then expired: in this order", () => {
		expect(() => checkSignedAccess(TOKEN, access({ path: "a", signature_expiration: "1" }))).toThrow(
			"missing signature query parameter",
		);
		expect(() => checkSignedAccess(TOKEN, access({ path: "a", signature: "v1_x", signature_expiration: "1" }))).toThrow(
			"invalid signature",
		);
		const query = { path: "a", signature_expiration: "999" };
		const signed = { ...query, signature: signature(TOKEN, "read", new URLSearchParams(query)) };
		expect(() => checkSignedAccess(TOKEN, access(signed))).toThrow("signature is already expired");
	});

	test("one that expires now still holds", () => {
		const query = { path: "a", signature_expiration: "1000" };
		const signed = { ...query, signature: signature(TOKEN, "read", new URLSearchParams(query)) };
		expect(() => checkSignedAccess(TOKEN, access(signed))).not.toThrow();
	});

	test("a wrong token in the header is not rescued by a right signature", () => {
		const query = { path: "a" };
		const signed = { ...query, signature: signature(TOKEN, "read", new URLSearchParams(query)) };
		expect(() => checkSignedAccess(TOKEN, access(signed, "wrong"))).toThrow("access token present in header but does not match");
	});
});

describe("access token", () => {
	test("an open sandbox asks for none", () => {
		expect(() => checkToken(undefined, undefined)).not.toThrow();
	});

	test.each([undefined, "", "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e", `${TOKEN}0`])("refuses %j", (header) => {
		expect(() => checkToken(TOKEN, header)).toThrow("unauthorized access");
	});
});
