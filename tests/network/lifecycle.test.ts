import { afterEach, beforeEach, expect, test } from "vitest";
import { HOST, Lab, netnsOf, OPEN, WORLD } from "./lab/lab.ts";

const GATEWAY = "169.254.0.22";

const CLOSED = expect.stringMatching(/^(refused|timeout)$/);

let lab: Lab;

beforeEach(async () => {
	lab = await Lab.open();
});

afterEach(() => lab[Symbol.asyncDispose]());

test("a released slot carries nothing over to its next user", async () => {
	const pool = await lab.pool({ instanceId: "aaaaaa", ahead: 0 });
	const first = await pool.openSlot();
	const server = await lab.serve(netnsOf(first));
	const chatter = await lab.stream({ host: WORLD.public, protocol: "udp", localPort: 7000 }, netnsOf(first));
	expect(await chatter.say("talk")).toMatch(/talk|gossip/);
	expect(await chatter.say("listen")).toBe("gossip");
	const fromHost = await lab.stream({ host: first.address, protocol: "tcp" });
	expect(await fromHost.say("one")).toBe("one");

	server.kill("SIGKILL");
	await chatter.end();
	await pool.release(first);
	const second = await pool.openSlot();
	expect(second.index).toBe(first.index);
	await lab.serve(netnsOf(second));

	const eavesdropper = await lab.stream({ host: WORLD.otherPublic, protocol: "udp", localPort: 7000 }, netnsOf(second));
	expect(await eavesdropper.say("listen")).toBe("timeout");
	expect(await fromHost.say("two")).toBe("closed");
	expect(await lab.reach([{ host: second.address }])).toEqual([`hello ${GATEWAY}`]);
});

test("a slot whose interface lost its addresses to an engine is whole again after prepare, and after release", async () => {
	const pool = await lab.pool({ instanceId: "aaaaaa", ahead: 0 });
	const slot = await pool.openSlot();
	const netns = netnsOf(slot);
	const strip = () => lab.sh(`ip -n ${netns} addr flush dev eth0; ip -n ${netns} route flush dev eth0`);

	await pool.prepare(slot);
	await strip();
	await pool.prepare(slot);
	expect(await lab.reach([{ host: WORLD.public }], netns)).toEqual([`hello ${HOST}`]);

	await strip();
	await pool.release(slot);
	const again = await pool.openSlot();
	expect(again.index).toBe(slot.index);
	expect(await lab.reach([{ host: WORLD.public }], netns)).toEqual([`hello ${HOST}`]);
});

test("twenty slots taken at once are distinct and all work; one more than the limit is refused", async () => {
	const pool = await lab.pool({ instanceId: "aaaaaa", ahead: 3, max: 20 });
	const slots = await Promise.all(Array.from({ length: 20 }, () => pool.openSlot()));
	expect(new Set(slots.map(({ address }) => address)).size).toBe(20);
	await expect(pool.acquire()).rejects.toThrow("all 20 network slots");
	const answers = await Promise.all(slots.map((slot) => lab.reach([{ host: WORLD.public }], netnsOf(slot))));
	expect(answers.flat()).toEqual(slots.map(() => `hello ${HOST}`));

	await Promise.all(slots.map((slot) => pool.release(slot)));
	expect(await pool.stats()).toEqual({ free: 20, used: 0 });
});

test("a slot that is broken when released is replaced by a new one", async () => {
	const pool = await lab.pool({ instanceId: "aaaaaa", ahead: 0 });
	const slot = await pool.openSlot();
	await lab.sh(`ip link del osaaaaaa-${slot.index}`);
	await pool.release(slot);
	expect(await pool.stats()).toEqual({ free: 0, used: 0 });
	const next = await pool.openSlot();
	expect(await lab.reach([{ host: WORLD.public }], netnsOf(next))).toEqual([`hello ${HOST}`]);
});

test("after a crash slots in use go on, policy and open connections included, and the rest is removed", async () => {
	const crashed = await lab.pool({ instanceId: "aaaaaa", ahead: 2 });
	const used = await crashed.acquire();
	await crashed.setEgress(used, { ...OPEN, denyCidrs: [WORLD.otherPublic] });
	const lost = await crashed.openSlot();
	const stream = await lab.stream({ host: WORLD.public, protocol: "tcp" }, netnsOf(used));
	await crashed.kill();
	expect(await stream.say("still")).toBe("still");

	const pool = await lab.pool({ instanceId: "aaaaaa", ahead: 1 });
	expect((await pool.acquire()).index).not.toBe(used.index);
	await pool.adopt([used.index]);
	expect(await stream.say("there")).toBe("there");
	expect((await lab.sh("ls /run/netns")).split("\n")).not.toContain(netnsOf(lost));
	const targets = [{ host: WORLD.public }, { host: WORLD.otherPublic }, { host: GATEWAY, protocol: "dns-udp" as const }];
	expect(await lab.reach(targets, netnsOf(used))).toEqual([`hello ${HOST}`, "refused", "93.184.216.34"]);

	await pool.release(used);
	expect((await pool.stats()).used).toBe(1);
});

test("destroy leaves nothing on the host, also after a crash and in the middle of making slots", async () => {
	const before = await lab.traces();
	const crashed = await lab.pool({ instanceId: "aaaaaa", ahead: 4 });
	await Promise.all([crashed.openSlot(), crashed.openSlot(), crashed.acquire()]);
	await crashed.kill();
	const pool = await lab.pool({ instanceId: "aaaaaa", ahead: 4 });
	await pool.openSlot();
	await pool.destroy();
	expect(await lab.traces()).toBe(before);
});

test("two instances side by side reach neither each other's slots nor each other's traces", async () => {
	const alone = await lab.traces();
	const a = await lab.pool({ instanceId: "aaaaaa" });
	const withA = await lab.pool({ instanceId: "bbbbbb" });
	const [slotA, slotB] = await Promise.all([a.openSlot(), withA.openSlot()]);
	expect(await a.started).not.toBe(await withA.started);
	await Promise.all([lab.serve(netnsOf(slotA)), lab.serve(netnsOf(slotB))]);

	const dns = { host: GATEWAY, protocol: "dns-udp" as const };
	expect(await lab.reach([{ host: slotB.address }, dns], netnsOf(slotA))).toEqual([CLOSED, "93.184.216.34"]);
	expect(await lab.reach([{ host: slotA.address }, dns], netnsOf(slotB))).toEqual([CLOSED, "93.184.216.34"]);
	expect(await lab.reach([{ host: slotA.address }, { host: slotB.address }])).toEqual([`hello ${GATEWAY}`, `hello ${GATEWAY}`]);

	await a.destroy();
	expect(await lab.reach([{ host: WORLD.public }, dns], netnsOf(slotB))).toEqual([`hello ${HOST}`, "93.184.216.34"]);
	expect(await lab.reach([{ host: slotB.address }])).toEqual([`hello ${GATEWAY}`]);
	await withA.destroy();
	expect(await lab.traces()).toBe(alone);
});

test("an address block whose owner left nothing on the host is used again once no other is free", async () => {
	const alive = await lab.pool({ instanceId: "aaaaaa" });
	const blocks = [18, 19].flatMap((second) => Array.from({ length: 64 }, (_, n) => `198.${second}.${n * 4}.0-22`));
	const others = blocks.filter((block) => block !== "198.18.0.0-22");
	await lab.sh(others.map((block, n) => `printf dead${n} > /run/offshoot/ranges/${block}`).join("\n"));
	const next = await lab.pool({ instanceId: "bbbbbb" });
	expect(await alive.started).toBe("198.18.0.0/22");
	expect(others).toContain((await next.started).replace("/", "-"));
});

test("the operator's listing of one of the host's addresses opens that address, a wide range around it does not", async () => {
	const narrow = await lab.pool({ instanceId: "aaaaaa", operatorAllowCidrs: [HOST] });
	const wide = await lab.pool({ instanceId: "bbbbbb", operatorAllowCidrs: ["0.0.0.0/0"] });
	const [opened, closed] = await Promise.all([narrow.openSlot(), wide.openSlot()]);
	expect(await lab.reach([{ host: HOST }], netnsOf(opened))).toEqual([expect.stringContaining("hello")]);
	const targets = [HOST, opened.address, GATEWAY].map((host) => ({ host }));
	expect(await lab.reach([...targets, { host: WORLD.private }], netnsOf(closed))).toEqual([
		CLOSED,
		CLOSED,
		CLOSED,
		`hello ${HOST}`,
	]);
});

test("a firewall that drops by default lets slots through while the instance lives", async () => {
	const firewall = `
		table ip filter {
			chain INPUT { type filter hook input priority filter; policy drop; iifname "lo" accept; ct state established accept; }
			chain FORWARD { type filter hook forward priority filter; policy drop; ip daddr ${WORLD.otherPublic} drop; }
		}
		table inet firewalld {
			chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept; ct state established accept; reject with icmpx admin-prohibited; }
		}`;
	await lab.sh(`nft -f - <<'END'\n${firewall}\nEND`);
	const before = await lab.traces();
	const pool = await lab.pool({ instanceId: "aaaaaa" });
	const slot = await pool.openSlot();
	const targets = [{ host: WORLD.public }, { host: WORLD.otherPublic }, { host: GATEWAY, protocol: "dns-udp" as const }];
	expect(await lab.reach(targets, netnsOf(slot))).toEqual([`hello ${HOST}`, "timeout", "93.184.216.34"]);
	await pool.destroy();
	// Forwarding stays on: the firewall's rules show that something else may need it.
	expect((await lab.traces()).replace(/\d\n$/, "")).toBe(before.replace(/\d\n$/, ""));
});
