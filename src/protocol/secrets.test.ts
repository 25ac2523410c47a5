import { expect, test } from "vitest";
import { isSameSecret } from "./secrets.ts";

test.each([
	["token", "token", true],
	["token", "tokem", false],
	["token", "token2", false],
	["", "", true],
	["", "token", false],
	["é", "e\u0301", false],
])("%j for %j: %s", (given, secret, same) => {
	expect(isSameSecret(given, secret)).toBe(same);
});
