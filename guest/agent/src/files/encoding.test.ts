import { expect, test } from "vitest";
import { chooseEncoding } from "./encoding.ts";

test.each([
	[undefined, "identity"],
	["gzip", "gzip"],
	["gzip, identity;q=0.5", "gzip"],
	["gzip, deflate", "identity"],
	["gzip, deflate, br", "identity"],
	["*", "identity"],
	["gzip;q=0", "identity"],
	["gzip, deflate, identity;q=0", "gzip"],
])("Accept-Encoding %j is answered with %s", (header, expected) => {
	expect(chooseEncoding(header)).toBe(expected);
});

test.each(["identity;q=0", "br, identity;q=0", "*;q=0"])("Accept-Encoding %j cannot be answered", (header) => {
	expect(() => chooseEncoding(header)).toThrow("no acceptable encoding");
});
