import { expect, test } from "vitest";
import { AddressBlock, indexIn, namesOf } from "./names.ts";

test("an interface of the longest id and the highest index has a name the kernel accepts", () => {
	const capacity = new AddressBlock("198.18.0.0/22").capacity;
	expect(`${namesOf("abcdef12").linkPrefix}${capacity}`.length).toBeLessThanOrEqual(15);
});

test.each(["", "ABC", "a-b", "ninechars"])("%j cannot be an instance's id", (id) => {
	expect(() => namesOf(id)).toThrow("instance id");
});

test("an index is read only from names of the same instance", () => {
	const { linkPrefix } = namesOf("abc");
	expect(indexIn("osabc-17", linkPrefix)).toBe(17);
	expect(["osabcd-17", "osabc-", "osabc-1x", "osabc-01", "eth0"].map((name) => indexIn(name, linkPrefix))).toEqual(
		Array(5).fill(undefined),
	);
});

test("slots use a block from its third address to the last but one", () => {
	const block = new AddressBlock("198.18.4.0/22");
	expect([block.dns, block.slot(0), block.slot(block.capacity - 1)]).toEqual(["198.18.4.1", "198.18.4.2", "198.18.7.254"]);
	expect(() => new AddressBlock("198.18.4.0/31")).toThrow("no room");
});
