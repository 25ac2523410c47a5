import { expect, test } from "vitest";
import { chainEnd, parseForeignChains, parseRules, passRules } from "./foreign-firewall.ts";
import { namesOf } from "./names.ts";

const names = namesOf("abc");
const forward = { family: "ip", table: "filter", name: "FORWARD", hook: "forward", policy: "accept" } as const;
const rules = (...expressions: Record<string, unknown>[][]) =>
	parseRules(expressions.map((expr, index) => ({ rule: { handle: index + 5, expr } })));

const MATCH = { match: { op: "==", left: { meta: { key: "iifname" } }, right: "lo" } };
const COUNTER = { counter: { packets: 0, bytes: 0 } };

test("a chain ends in dropping by its policy, or by a last rule without a condition", () => {
	expect(chainEnd(forward, [])).toEqual({ kind: "open" });
	expect(chainEnd({ ...forward, policy: "drop" }, [])).toEqual({ kind: "drops by policy" });
	expect(chainEnd(forward, rules([MATCH, { drop: null }]))).toEqual({ kind: "open" });
	expect(chainEnd(forward, rules([COUNTER]))).toEqual({ kind: "open" });
	expect(chainEnd(forward, rules([MATCH, { accept: null }], [COUNTER, { drop: null }]))).toEqual({
		kind: "drops by rule",
		handle: 6,
	});
	expect(chainEnd(forward, rules([{ reject: { type: "icmpx" } }]))).toEqual({ kind: "drops by rule", handle: 5 });
	expect(chainEnd(forward, rules([COUNTER, { xt: { type: "target", name: "REJECT" } }]))).toEqual({
		kind: "drops by rule",
		handle: 5,
	});
});

test("slots are let through right before the drop, after every rule of the operator", () => {
	expect(passRules(names, forward, { kind: "drops by rule", handle: 6 })).toBe(
		'insert rule ip filter FORWARD handle 6 iifname "osabc-*" counter accept comment "offshoot_abc"\n' +
			'insert rule ip filter FORWARD handle 6 oifname "osabc-*" counter accept comment "offshoot_abc"\n',
	);
	expect(passRules(names, { ...forward, name: "INPUT", hook: "input" }, { kind: "drops by policy" })).toBe(
		'add rule ip filter INPUT iifname "osabc-*" counter accept comment "offshoot_abc"\n',
	);
});

test("chains of any instance of our own are not foreign", () => {
	const chain = { type: "filter", prio: 0, ...forward };
	expect(
		parseForeignChains([{ chain }, { chain: { ...chain, table: "offshoot_zzz" } }, { chain: { ...chain, type: "nat" } }]),
	).toEqual([forward]);
});
