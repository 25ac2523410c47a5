import { describe, expect, it } from "vitest";
import { assertNetwork, copyNetwork, toEgress, updateNetwork, visibleNetwork } from "./network.ts";
import type { NetworkOptions } from "./types.ts";

describe("assertNetwork", () => {
	it.each<[NetworkOptions, string]>([
		[{ denyOut: ["example.com"] }, "network.denyOut"],
		[{ denyOut: ["10.0.0.0/33"] }, "network.denyOut"],
		[{ denyOut: ["10.0.0.0/8/8"] }, "network.denyOut"],
		[{ allowOut: ["example.com"] }, "0.0.0.0/0"],
		[{ allowOut: ["2001:db8::1"] }, "IPv6"],
		[{ allowOut: ["*"], denyOut: ["0.0.0.0/0"] }, "network.allowOut"],
		[{ allowOut: ["a.*.example.com"], denyOut: ["0.0.0.0/0"] }, "network.allowOut"],
		[{ allowOut: ["https://example.com"], denyOut: ["0.0.0.0/0"] }, "network.allowOut"],
		[{ allowOut: ["1.2.3.4/33"], denyOut: ["0.0.0.0/0"] }, "network.allowOut"],
		[{ denyOut: Array.from({ length: 1001 }, () => "1.1.1.1") }, "network.denyOut"],
		[{ egressProxy: { address: "example.com" } }, "network.egressProxy.address"],
		[{ egressProxy: { address: "example.com:0" } }, "network.egressProxy.address"],
		[{ egressProxy: { address: "[2001:db8::1]:1080" } }, "network.egressProxy.address"],
		[{ egressProxy: { address: "socks5://example.com:1080" } }, "network.egressProxy.address"],
		[{ egressProxy: { address: "example.com:1080", password: "x" } }, "network.egressProxy.password"],
		[{ egressProxy: { address: "example.com:1080", username: "" } }, "network.egressProxy.username"],
		[{ egressProxy: { address: "example.com:1080", username: "u", password: "ü".repeat(128) } }, "network.egressProxy.password"],
		[{ maskRequestHost: "a b" }, "network.maskRequestHost"],
		[{ maskRequestHost: "exämple.com" }, "network.maskRequestHost"],
		[{ httpsPorts: [0] }, "network.httpsPorts"],
		[{ httpsPorts: [49983] }, "network.httpsPorts"],
		[{ httpsPorts: [443, 443] }, "network.httpsPorts"],
		[{ httpsPorts: Array.from({ length: 129 }, (_, n) => n + 1) }, "network.httpsPorts"],
	])("refuses %o naming the field", (network, field) => {
		expect(() => assertNetwork(network, { secure: true })).toThrow(field);
	});

	it("asks for a secured sandbox when its traffic is private", () => {
		expect(() => assertNetwork({ allowPublicTraffic: false }, { secure: false })).toThrow("network.allowPublicTraffic");
		expect(() => assertNetwork({ allowPublicTraffic: false }, { secure: true })).not.toThrow();
	});

	it("allows domains where everything else is denied, in either way", () => {
		const allowOut = ["example.com", "*.Example.com"];
		expect(() => assertNetwork({ allowOut, denyOut: ["0.0.0.0/0"] }, { secure: true })).not.toThrow();
		expect(() => assertNetwork({ allowOut }, { secure: true, allowInternetAccess: false })).not.toThrow();
		expect(() => assertNetwork({ allowOut, denyOut: ["1.0.0.0/8"] }, { secure: true })).toThrow("0.0.0.0/0");
	});

	it("accepts a host with a placeholder for the port", () => {
		expect(() => assertNetwork({ maskRequestHost: "localhost:$" + "{PORT}" }, { secure: true })).not.toThrow();
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
		[
			{ denyOut: ["0.0.0.0/0"], allowOut: ["*.Example.com", "1.1.1.1"] },
			undefined,
			{ internet: false, allowCidrs: ["1.1.1.1/32"], denyCidrs: [], allowDomains: ["*.example.com"] },
		],
		[
			{ egressProxy: { address: "Proxy.example.com:1080", username: "u", password: "p" } },
			undefined,
			{
				internet: true,
				allowCidrs: [],
				denyCidrs: [],
				egressProxy: { host: "proxy.example.com", port: 1080, username: "u", password: "p" },
			},
		],
		[{ denyOut: ["8.8.8.8"] }, undefined, { internet: true, allowCidrs: [], denyCidrs: ["8.8.8.8/32"] }],
	])("turns %o with internet %s into what the host enforces", (network, internet, policy) => {
		expect(toEgress(network, internet)).toEqual(policy);
	});
});

describe("updateNetwork", () => {
	it("replaces what the sandbox may reach and keeps what may reach it", () => {
		const before = copyNetwork({
			allowPublicTraffic: false,
			httpsPorts: [1],
			allowOut: ["1.1.1.1"],
			egressProxy: { address: "a.b:1" },
		});
		expect(updateNetwork(before, { denyOut: ["2.2.2.2"] })).toEqual({
			allowPublicTraffic: false,
			httpsPorts: [1],
			denyOut: ["2.2.2.2"],
		});
	});
});

describe("visibleNetwork", () => {
	it("leaves the proxy's password out", () => {
		const egressProxy = { address: "a.b:1", username: "u", password: "secret" };
		expect(visibleNetwork({ denyOut: ["1.1.1.1"], egressProxy })).toEqual({
			denyOut: ["1.1.1.1"],
			egressProxy: { address: "a.b:1", username: "u" },
		});
	});
});
