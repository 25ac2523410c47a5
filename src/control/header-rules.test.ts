import { describe, expect, it } from "vitest";
import { assertRules, normalRules } from "./header-rules.ts";
import { toEgress, updateNetwork, visibleNetwork } from "./network.ts";
import type { NetworkRules } from "./types.ts";

const headers = (values: Record<string, string>): NetworkRules[string] => [{ transform: { headers: values } }];
const many = (count: number, entry: (n: number) => [string, unknown]) =>
	Object.fromEntries(Array.from({ length: count }, (_, n) => entry(n)));

describe("assertRules", () => {
	it.each<[NetworkRules, string]>([
		[{ "*": [] }, "'*'"],
		[{ "a.*.com": [] }, "'a.*.com'"],
		[{ "1.2.3.4": [] }, "'1.2.3.4'"],
		[{ "api.test:443": [] }, "'api.test:443'"],
		[{ [`${"a.".repeat(64)}test`]: [] }, "host name"],
		[{ "api.test": [], "API.test": [] }, "twice"],
		[many(11, (n) => [`${n}.test`, []]) as NetworkRules, "10 domains"],
		[{ "api.test": [{}, {}] }, "one transform"],
		[{ "api.test": headers(many(21, (n) => [`h${n}`, "x"]) as Record<string, string>) }, "20 headers"],
		[{ "api.test": headers({ "X-A": "1", "x-a": "2" }) }, "twice"],
		[{ "api.test": headers({ "x a": "1" }) }, "'x a'"],
		[{ "api.test": headers({ [`x${"a".repeat(64)}`]: "1" }) }, "no name"],
		[{ "api.test": headers({ Host: "other.test" }) }, "'Host'"],
		[{ "api.test": headers({ "Transfer-Encoding": "chunked" }) }, "'Transfer-Encoding'"],
	])("refuses %o, naming what is wrong", (rules, named) => {
		expect(() => assertRules(rules)).toThrow(named);
	});

	it.each(["line\r\nX-Other: 1", "\u0000", "é\u0142", "x".repeat(2049), "$" + "{e2b.secrets.key}"])(
		"refuses a value without showing it",
		(value) => {
			const refusal = (() => {
				try {
					assertRules({ "api.test": headers({ "X-Key": `secret ${value}` }) });
				} catch (error) {
					return String(error);
				}
			})();
			expect(refusal).toContain("the value of 'X-Key'");
			expect(refusal).not.toContain("secret ");
		},
	);
});

it("rules are kept with their domains in lower case, shown to their owner, and cleared by an update without them", () => {
	const rules = { "*.API.test": headers({ Authorization: "Bearer x" }), "b.test": [{}] };
	const kept = updateNetwork({ maskRequestHost: "m.test" }, { rules });
	expect(visibleNetwork(kept)).toEqual({ maskRequestHost: "m.test", rules: normalRules(rules) });
	expect(toEgress(kept, undefined).headerRules).toEqual([{ domain: "*.api.test", headers: { Authorization: "Bearer x" } }]);
	expect(updateNetwork(kept, {})).toEqual({ maskRequestHost: "m.test" });
	expect(toEgress({ rules: { "b.test": [{}] } }, undefined)).not.toHaveProperty("headerRules");
});
