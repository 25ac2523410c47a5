import { afterEach, beforeEach, expect, test } from "vitest";
import { HOST, Lab, netnsOf, OPEN, WORLD } from "./lab/lab.ts";

let lab: Lab;

beforeEach(async () => {
	lab = await Lab.open();
});

afterEach(() => lab[Symbol.asyncDispose]());

const TABLE = "offshoot_aaaaaa";

/** Turns the rules on the lab's host into those of an older version by editing their text, in one transaction. */
async function makeOlder(edit: (rules: string) => string): Promise<void> {
	const rules = await lab.sh(`nft list table ip ${TABLE}; nft list table netdev ${TABLE}`);
	const older = edit(rules);
	expect(older).not.toBe(rules);
	await lab.sh(`nft -f - <<'EOF'\nadd table ip ${TABLE}\ndelete table ip ${TABLE}\ndelete table netdev ${TABLE}\n${older}\nEOF`);
}

const withoutMark = (rules: string) => rules.replace(/\tchain version_\w+ \{\s*\}/, "");
/** A set of another type: what made a start fail with "datatype mismatch". */
const otherType = (rules: string) =>
	rules.replace(/\tset connections \{[\s\S]*?\n\t\}\n/, "\tset connections {\n\t\ttype ipv4_addr\n\t}\n");
const withoutCounting = (rules: string) => rules.replace(/[^\n]*@connections[^\n]*\n/, "");
/** As before slots had a chain for redirection. */
const withoutRedirects = (rules: string) =>
	rules
		.replace(/\tmap redirects \{[\s\S]*?\n\t\}\n/, "")
		.replace(/\tchain (redirect_\d+|egress_\w+) \{[\s\S]*?\n\t\}\n/g, "")
		.replace(/[^\n]*(@redirects|egress_)[^\n]*\n/g, "");

test("rules of an older version are replaced under running slots: policies and open connections go on", async () => {
	const older = await lab.pool({ instanceId: "aaaaaa", ahead: 0 });
	const slot = await older.acquire();
	await older.setEgress(slot, { ...OPEN, denyCidrs: [WORLD.otherPublic] });
	const netns = netnsOf(slot);
	await lab.serve(netns);
	const out = await lab.stream({ host: WORLD.public, protocol: "tcp" }, netns);
	const into = await lab.stream({ host: slot.address, protocol: "tcp" });
	await older.kill();
	await makeOlder((rules) => withoutRedirects(withoutCounting(otherType(withoutMark(rules)))));
	expect(await out.say("old")).toBe("old");

	const pool = await lab.pool({ instanceId: "aaaaaa", ahead: 0 });
	expect(await out.say("new")).toBe("new");
	expect(await into.say("new")).toBe("new");
	await pool.adopt([slot.index]);
	expect(await out.say("adopted")).toBe("adopted");
	const targets = [WORLD.public, WORLD.otherPublic, WORLD.private].map((host) => ({ host }));
	expect(await lab.reach(targets, netns)).toEqual([`hello ${HOST}`, "refused", "refused"]);

	await lab.web("world");
	await pool.setEgress(slot, { internet: false, allowCidrs: [], denyCidrs: [], allowDomains: ["example.com"] });
	expect(await lab.fetch("https://example.com/", WORLD.public, netns)).toContain("example.com at");
	const before = await lab.sh("nft list tables");
	expect(before).toContain(TABLE);
	await pool.destroy();
	expect(await lab.sh("nft list tables")).not.toContain(TABLE);
});

test("a policy that means nothing any more leaves its slot closed until the next is set", async () => {
	const older = await lab.pool({ instanceId: "aaaaaa", ahead: 0 });
	const slot = await older.openSlot();
	const other = await older.openSlot();
	const netns = netnsOf(slot);
	await older.kill();
	await makeOlder((rules) =>
		withoutMark(rules).replace(/(chain policy_0 \{)/, "chain of_old {\n\t}\n\n\t$1\n\t\tip daddr 192.0.2.1 goto of_old"),
	);
	expect(await lab.reach([{ host: WORLD.public }], netns)).toEqual([`hello ${HOST}`]);

	const pool = await lab.pool({ instanceId: "aaaaaa", ahead: 0 });
	await pool.adopt([slot.index, other.index]);
	expect(await lab.reach([{ host: WORLD.public }], netns)).toEqual(["refused"]);
	await pool.setEgress(slot, OPEN);
	expect(await lab.reach([{ host: WORLD.public }], netns)).toEqual([`hello ${HOST}`]);
});

test("rules of the same version keep what the slots have", async () => {
	const first = await lab.pool({ instanceId: "aaaaaa", ahead: 0 });
	const slot = await first.openSlot();
	const own = () => lab.sh(`nft list map ip ${TABLE} generation; nft list chain ip ${TABLE} policy_${slot.index}`);
	const before = await own();
	await first.kill();
	await lab.pool({ instanceId: "aaaaaa", ahead: 0 });
	expect(await own()).toBe(before);
});
