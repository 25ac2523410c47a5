import { afterEach, beforeEach, expect, test } from "vitest";
import { Lab } from "./lab/lab.ts";

let lab: Lab;

beforeEach(async () => {
	lab = await Lab.open();
});

afterEach(() => lab[Symbol.asyncDispose]());

test("a host with everything passes, and is as it was afterwards", async () => {
	const before = await lab.traces();
	const { netns, netdevEgress, forwardPolicy } = await lab.probes();
	expect([netns, netdevEgress, forwardPolicy]).toEqual([
		{ ok: true, detail: expect.any(String) },
		{ ok: true, detail: expect.any(String) },
		{ ok: true, detail: "no other firewall drops forwarded packets" },
	]);
	expect(await lab.traces()).toBe(before);
});

test.each([
	["policy", "policy drop; }"],
	["last rule", "policy accept; }; add rule ip filter FORWARD counter drop"],
])("a firewall that drops by %s is named, and fine as long as its chain can be added to", async (_, rest) => {
	await lab.sh(`nft 'add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; ${rest}'`);
	const { forwardPolicy } = await lab.probes();
	expect(forwardPolicy.ok).toBe(true);
	expect(forwardPolicy.detail).toContain("ip filter FORWARD");
});

test("missing programs are named together with their packages", async () => {
	const { netns, netdevEgress, forwardPolicy } = await lab.probes("/nonexistent");
	expect(netns).toMatchObject({ ok: false, fix: expect.stringContaining("apt-get install iproute2") });
	expect(netdevEgress.ok).toBe(false);
	expect(forwardPolicy).toMatchObject({ ok: false, fix: expect.stringContaining("apt-get install nftables") });
});
