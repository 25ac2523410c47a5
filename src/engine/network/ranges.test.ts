import { expect, test } from "vitest";
import { parseCidr } from "./cidr.ts";
import { chooseBlock, parseRoutes } from "./ranges.ts";

const choose = (...taken: string[]) => chooseBlock(taken.map(parseCidr));

test("the first block that overlaps nothing is chosen", () => {
	expect(choose()).toBe("198.18.0.0/22");
	expect(choose("198.18.0.0/22")).toBe("198.18.4.0/22");
	expect(choose("198.18.0.0/22", "198.18.5.77")).toBe("198.18.8.0/22");
	expect(choose("198.18.0.0/16")).toBe("198.19.0.0/22");
});

test("a host that routes the whole range elsewhere leaves no block", () => {
	expect(choose("198.16.0.0/12")).toBeUndefined();
});

test("destinations are read from the routing table, the default route is none", () => {
	const json = '[{"dst":"default","gateway":"10.0.0.1"},{"dst":"10.0.0.0/24","dev":"eth0"},{"type":"local","dst":"10.0.0.2"}]';
	expect(parseRoutes(json)).toEqual([parseCidr("10.0.0.0/24"), parseCidr("10.0.0.2")]);
	expect(parseRoutes("")).toEqual([]);
});
