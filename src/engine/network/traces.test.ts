import { expect, test } from "vitest";
import { namesOf } from "./names.ts";
import { parseNft, parseSlotObjects, removalRules } from "./traces.ts";

const names = namesOf("abc");

const LISTING = JSON.stringify({
	nftables: [
		{ metainfo: { version: "1.0.6" } },
		{ table: { family: "ip", name: "offshoot_abc", handle: 1 } },
		{ set: { family: "ip", name: "live", elem: [{ concat: ["osabc-3", 77] }, { concat: ["osabc-4", 78] }] } },
		{ map: { family: "ip", name: "generation", elem: [["osabc-3", 77]] } },
		{ map: { family: "ip", name: "policies", elem: [["osabc-3", { goto: { target: "policy_3" } }]] } },
		{ map: { family: "ip", name: "empty" } },
		{ chain: { family: "ip", name: "policy_3" } },
		{ chain: { family: "ip", name: "from_guest" } },
		{ chain: { family: "netdev", name: "in_4", hook: "ingress" } },
		{ rule: { family: "ip", chain: "policy_3", expr: [] } },
	],
});

test("the objects of slots are found in a table's listing, the shared ones are not among them", () => {
	const found = parseSlotObjects(names, parseNft(LISTING));
	expect(found.chains).toEqual([
		{ family: "ip", name: "policy_3", index: 3 },
		{ family: "netdev", name: "in_4", index: 4 },
	]);
	expect(found.generations).toEqual(new Map([[3, 77]]));
	expect(found.live).toHaveLength(2);
});

test("only what is there of a doomed slot is deleted, and references before what they refer to", () => {
	const objects = parseSlotObjects(names, parseNft(LISTING));
	const rules = removalRules(names, objects, (index) => index === 3);
	expect(rules.trim().split("\n")).toEqual([
		'delete element ip offshoot_abc policies { "osabc-3" }',
		'delete element ip offshoot_abc generation { "osabc-3" }',
		'delete element ip offshoot_abc live { "osabc-3" . 77 }',
		"flush chain ip offshoot_abc policy_3",
		"delete chain ip offshoot_abc policy_3",
	]);
	expect(removalRules(names, objects, () => false)).toBe("");
});
