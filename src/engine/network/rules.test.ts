import { expect, test } from "vitest";
import { namesOf } from "./names.ts";
import { firstPolicyRules, policyRules } from "./policy-rules.ts";
import { baseRules } from "./rules.ts";

const names = namesOf("abc");

/** Rules of the chain in the order the kernel asks them, for a chain that held only `closed` before. */
function effective(text: string): string[] {
	const rules: string[] = ["closed"];
	for (const line of text.split("\n").filter((line) => line.includes(" policy_7"))) {
		if (line.startsWith("flush")) rules.length = 0;
		const rule = line.replace(/^\w+ rule ip offshoot_abc policy_7 /, "");
		if (line.startsWith("add rule")) rules.push(rule);
		if (line.startsWith("insert rule")) rules.unshift(rule);
	}
	return rules;
}

test("a first policy and a replaced one end up the same, the first in front of the closing rule", () => {
	const policy = { internet: true, allowCidrs: ["8.8.8.8"], denyCidrs: ["8.8.0.0/16", "9.9.9.9"] };
	const rules = [
		"ip daddr 169.254.0.22 accept",
		"ip daddr { 8.8.8.8 } accept",
		"ip daddr { 8.8.0.0/16, 9.9.9.9 } goto refuse",
		"accept",
	];
	expect(effective(policyRules(names, 7, policy))).toEqual(rules);
	expect(effective(firstPolicyRules(names, 7, policy))).toEqual([...rules, "closed"]);
});

test("denying everything is the same as no internet", () => {
	const none = { internet: false, allowCidrs: [], denyCidrs: [] };
	expect(policyRules(names, 7, { internet: true, allowCidrs: [], denyCidrs: ["1.2.3.4/0", "5.5.5.5"] })).toBe(
		policyRules(names, 7, none),
	);
	expect(effective(policyRules(names, 7, none))).toEqual(["ip daddr 169.254.0.22 goto refuse", "goto refuse"]);
});

test("only the operator's single addresses open the host", () => {
	const dns = { address: "198.18.0.1", port: 1 };
	const text = baseRules({
		names,
		addressRange: "198.18.0.0/22",
		operatorAllowCidrs: ["10.0.0.0/8", "10.1.1.1/32"],
		dns,
		proxyUid: 5,
	});
	expect(text).toContain("fib daddr type local ip daddr != { 10.1.1.1 } goto refuse");
	expect(text).toContain('input iifname "osabc-*" ip daddr 10.1.1.1 accept');
	expect(text).not.toContain('input iifname "osabc-*" ip daddr 10.0.0.0/8');
});

test("header rules lead HTTP and TLS to the proxy, allowed addresses included, and open nothing", () => {
	const headerRules = [{ domain: "api.test", headers: { a: "b" } }];
	const closed = { internet: false, allowCidrs: ["8.8.8.8"], denyCidrs: [], allowDomains: ["api.test"] };
	const text = policyRules(names, 7, { ...closed, headerRules });
	const redirects = text.split("\n").filter((line) => line.startsWith("add rule ip offshoot_abc redirect_7 "));
	expect(redirects).toEqual(["add rule ip offshoot_abc redirect_7 tcp dport { 80, 443 } goto egress_any"]);
	expect(effective(text)).toEqual(effective(policyRules(names, 7, closed)));
});
