import { describe, expect, it } from "vitest";
import { assertNetwork, toEgress } from "./network.ts";
import type { NetworkOptions } from "./types.ts";

describe("assertNetwork", () => {
	it.each<[NetworkOptions, string]>([
		[{ denyOut: ["example.com"] }, "network.denyOut"],
		[{ denyOut: ["10.0.0.0/33"] }, "network.denyOut"],
		[{ denyOut: ["10.0.0.0/8/8"] }, "network.denyOut"],
		[{ allowOut: ["example.com"] }, "0.0.0.0/0"],
		[{ allowOut: ["2001:db8::1"] }, "IPv6"],
		[{ maskRequestHost: "a b" }, "network.maskRequestHost"],
		[{ maskRequestHost: "exämple.com" }, "network.maskRequestHost"],
		[{ httpsPorts: [0] }, "network.httpsPorts"],
		[{ httpsPorts: [49983] }, "network.httpsPorts"],
		[{ httpsPorts: [443, 443] }, "network.httpsPorts"],
		[{ httpsPorts: Array.from({ length: 129 }, (_, n) => n + 1) }, "network.httpsPorts"],
	])("refuses %o naming the field", (network, field) => {
		expect(() => assertNetwork(network, true)).toThrow(field);
	});

	it("asks for a secured sandbox when its traffic is private", () => {
		expect(() => assertNetwork({ allowPublicTraffic: false }, false)).toThrow("network.allowPublicTraffic");
		expect(() => assertNetwork({ allowPublicTraffic: false }, true)).not.toThrow();
	});

	it("says that rules for domains are to come", () => {
		const network = { allowOut: ["*.example.com"], denyOut: ["0.0.0.0/0"] };
		expect(() => assertNetwork(network, true)).toThrow(expect.objectContaining({ code: "not_implemented" }));
	});

	it("accepts a host with a placeholder for the port", () => {
		expect(() => assertNetwork({ maskRequestHost: "localhost:$" + "{PORT}" }, true)).not.toThrow();
	});
});

describe("toEgress", () => {
	it.each<[NetworkOptions | undefined, boolean | undefined, object]>([
		[undefined, undefined, { internet: true, allowCidrs: [], denyCidrs: [] }],
		[undefined, false, { internet: false, allowCidrs: [], denyCidrs: [] }],
		[
			{ denyOut: ["0.0.0.0/0", "::/0"], allowOut: ["1.1.1.1", "8.8.8.0/24"] },
			true,
			{ internet: false, allowCidrs: ["1.1.1.1/32", "8.8.8.0/24"], denyCidrs: [] },
		],
		[{ denyOut: ["8.8.8.8"] }, undefined, { internet: true, allowCidrs: [], denyCidrs: ["8.8.8.8/32"] }],
	])("turns %o with internet %s into what the host enforces", (network, internet, policy) => {
		expect(toEgress(network, internet)).toEqual(policy);
	});
});
