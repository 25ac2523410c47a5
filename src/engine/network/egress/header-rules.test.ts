import { expect, test } from "vitest";
import { ruleFor, withHeaders } from "./header-rules.ts";

test("the exact rule wins, then the longest wildcard; rules are never merged", () => {
	const rules = ["*.com", "*.example.com", "api.example.com"].map((domain) => ({ domain, headers: { from: domain } }));
	const names = ["api.example.com", "x.api.example.com", "example.com", "com"];
	expect(names.map((name) => ruleFor(name, rules)?.domain)).toEqual(["api.example.com", "*.example.com", "*.com", undefined]);
});

test("a guest cannot have the fields of a rule removed", () => {
	const sent = ["Connection", "close, X-Key", "x-key", "guest", "Host", "a", "Upgrade", "h2c", "Accept", "b"];
	expect(withHeaders(sent, { "X-Key": "k" })).toEqual(["Host", "a", "Accept", "b", "X-Key", "k"]);
});
