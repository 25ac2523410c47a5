import { expect, test } from "vitest";
import { isDomainPattern, matchesDomain, normalizeHostName } from "./domains.ts";

test.each(["example.com", "*.example.com", "a-b.example.com", "_dmarc.example.com", "xn--bcher-kva.example", "localhost"])(
	"%s is a pattern",
	(text) => expect(isDomainPattern(text)).toBe(true),
);

test.each([
	"",
	"*",
	"*.",
	"*.*.example.com",
	"a.*.example.com",
	"Example.com",
	"example.com.",
	"-a.example.com",
	"a..example.com",
	"1.2.3.4",
	"*.1.2.3.4",
	"2001:db8::1",
	"example.com:443",
	"https://example.com",
	"bücher.example",
	`${"a".repeat(64)}.com`,
	`${"a.".repeat(127)}aa`,
])("%s is none", (text) => expect(isDomainPattern(text)).toBe(false));

test("a pattern matches its name, a wildcard every subdomain but not the name itself", () => {
	const patterns = ["example.com", "*.example.org"];
	const matched = [
		"example.com",
		"a.example.com",
		"example.org",
		"a.example.org",
		"a.b.example.org",
		"badexample.org",
		"xexample.com",
	];
	expect(matched.filter((name) => matchesDomain(name, patterns))).toEqual(["example.com", "a.example.org", "a.b.example.org"]);
});

test("names are compared without regard to case and final dot", () => {
	expect(normalizeHostName("Example.COM.")).toBe("example.com");
	expect(normalizeHostName("example.com..")).toBe(undefined);
	expect(normalizeHostName("1.2.3.4")).toBe(undefined);
});
