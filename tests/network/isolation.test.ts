import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Slot } from "../../src/engine/index.ts";
import { HOST, Lab, netnsOf, OPEN, type PoolProcess, ROUTER, WORLD } from "./lab/lab.ts";

const GATEWAY = "169.254.0.22";

let lab: Lab;
let pool: PoolProcess;
let guest: Slot;
let other: Slot;

beforeAll(async () => {
	lab = await Lab.open();
	pool = await lab.pool({ instanceId: "aaaaaa" });
	guest = await pool.openSlot();
	other = await pool.openSlot();
	await Promise.all([lab.serve(netnsOf(guest)), lab.serve(netnsOf(other))]);
});

afterAll(() => lab[Symbol.asyncDispose]());

/** What none of the answers may be: a greeting. */
const CLOSED = /^(refused|timeout)$/;

describe("a guest", () => {
	test("reaches public addresses over TCP and UDP, as the host", async () => {
		const answers = await lab.reach([{ host: WORLD.public }, { host: WORLD.public, protocol: "udp" }], netnsOf(guest));
		expect(answers).toEqual([`hello ${HOST}`, `hello ${HOST}`]);
	});

	test("reaches no private, link-local or metadata address, no address of the host, no other slot", async () => {
		const [dns] = /198\.18\.\d+\.1(?=\/32)/.exec(await lab.sh("ip -o addr show dev lo")) ?? [""];
		const hosts = [
			WORLD.private,
			WORLD.metadata,
			HOST,
			GATEWAY,
			dns,
			other.address,
			guest.address,
			"127.0.0.1",
			"255.255.255.255",
		];
		const targets = hosts.filter((host) => host !== "127.0.0.1");
		for (const protocol of ["tcp", "udp"] as const) {
			const answers = await lab.reach(
				targets.map((host) => ({ host, protocol })),
				netnsOf(guest),
			);
			expect(answers.map((answer, index) => [targets[index], CLOSED.test(answer) || /ENETUNREACH|EACCES/.test(answer)])).toEqual(
				targets.map((host) => [host, true]),
			);
		}
	});

	test("gets the greeting it is refused when the host itself asks: the servers above are there", async () => {
		const hosts = [WORLD.private, WORLD.metadata, HOST, other.address];
		const answers = await lab.reach(hosts.map((host) => ({ host })));
		expect(answers.every((answer) => answer.startsWith("hello"))).toBe(true);
	});

	test("reaches a closed range that the operator opened", async () => {
		expect(await lab.reach([{ host: WORLD.opened }], netnsOf(guest))).toEqual([`hello ${HOST}`]);
	});

	test("cannot open a closed range by a policy of its own", async () => {
		const slot = await pool.acquire();
		await pool.setEgress(slot, {
			internet: true,
			allowCidrs: ["0.0.0.0/0", "10.0.0.0/8", "169.254.0.0/16", HOST],
			denyCidrs: [],
		});
		const hosts = [WORLD.private, WORLD.metadata, HOST, GATEWAY, other.address];
		const answers = await lab.reach(
			hosts.map((host) => ({ host })),
			netnsOf(slot),
		);
		for (const answer of answers) expect(answer).toMatch(CLOSED);
		await pool.release(slot);
	});

	test("lets nothing out of its slot with a source that is not its own", async () => {
		const slot = await pool.openSlot();
		const netns = netnsOf(slot);
		const forged = ["93.184.216.99", other.address, slot.address];
		await lab.sh(forged.map((address) => `ip -n ${netns} addr add ${address}/32 dev eth0`).join("\n"));
		const seen = await lab.spy("ip", "prerouting", `iifname "osaaaaaa-${slot.index}"`);

		await lab.reach(
			forged.map((source) => ({ host: WORLD.public, protocol: "udp", source })),
			netns,
		);
		expect(await seen()).toBe(0);
		// The counter does count: a datagram with the slot's own source gets through. One may be lost, as datagrams are.
		const ownPassed = async () => {
			await lab.reach([{ host: WORLD.public, protocol: "udp" }], netns);
			return seen();
		};
		await expect.poll(ownPassed, { timeout: 20_000 }).toBeGreaterThan(0);
	});

	test("sends no IPv6", async () => {
		const slot = await pool.openSlot();
		const link = `osaaaaaa-${slot.index}`;
		const seen = await lab.spy("ip6", "prerouting", `iifname "${link}"`);
		await lab.sh(`ip -n ${netnsOf(slot)} addr add fd00:1::2/64 dev eth0 nodad; ip addr add fd00:1::1/64 dev ${link} nodad`);
		await expect(lab.sh(`ip netns exec ${netnsOf(slot)} busybox ping -6 -c 1 -W 1 fd00:1::1`)).rejects.toThrow();
		expect(await seen()).toBe(0);
	});

	test("asks names of the host's resolver, over UDP and TCP, through its gateway", async () => {
		const answers = await lab.reach(
			[
				{ host: GATEWAY, protocol: "dns-udp" },
				{ host: GATEWAY, protocol: "dns-tcp" },
			],
			netnsOf(guest),
		);
		expect(answers).toEqual(["93.184.216.34", "93.184.216.34"]);
	});
});

describe("the host", () => {
	test("reaches the guest, which sees its gateway", async () => {
		const answers = await lab.reach([{ host: guest.address }, { host: guest.address, protocol: "udp" }]);
		expect(answers).toEqual([`hello ${GATEWAY}`, `hello ${GATEWAY}`]);
	});
});

describe("a machine outside", () => {
	test("reaches neither slot nor DNS, though it routes to them through the host", async () => {
		await lab.sh(`ip -n world route add 198.18.0.0/15 via ${HOST}; ip -n world route add ${GATEWAY} via ${HOST}`);
		const ports = await lab.sh("nft list chain ip offshoot_aaaaaa gateway_dns");
		const [, dns = "", port = ""] = /dnat to ([\d.]+):(\d+)/.exec(ports) ?? [];
		const results = await lab.reach(
			[
				{ host: guest.address },
				{ host: guest.address, protocol: "udp" },
				{ host: dns, port: Number(port), protocol: "dns-udp" },
				{ host: GATEWAY, port: 53, protocol: "dns-udp" },
			],
			"world",
		);
		expect(results).toEqual(["timeout", "timeout", "timeout", "timeout"]);
	});

	test("cannot pose as a slot", async () => {
		await lab.sh(`ip -n world addr add ${other.address}/32 dev lo`);
		const seen = await lab.spy("ip", "input", 'iifname "up0" udp dport 8080');
		await lab.reach([{ host: HOST, protocol: "udp", source: other.address }], "world");
		expect(await seen()).toBe(0);
		await lab.reach([{ host: HOST, protocol: "udp" }], "world");
		expect(await seen()).toBe(1);
		await lab.sh(`ip -n world addr del ${other.address}/32 dev lo`);
	});
});

describe("a policy", () => {
	test("holds for new and for open connections from the moment it was set", async () => {
		const slot = await pool.openSlot();
		const netns = netnsOf(slot);
		const stream = await lab.stream({ host: WORLD.public, protocol: "tcp" }, netns);
		expect(await stream.say("one")).toBe("one");

		await pool.setEgress(slot, { ...OPEN, denyCidrs: ["93.184.216.34/31"] });
		expect(await stream.say("two")).not.toBe("two");
		const both = [{ host: WORLD.public }, { host: WORLD.otherPublic }, { host: ROUTER }];
		expect(await lab.reach(both, netns)).toEqual(["refused", "refused", `hello ${HOST}`]);

		await pool.setEgress(slot, { ...OPEN, allowCidrs: [WORLD.public], denyCidrs: ["93.184.216.0/24"] });
		expect(await lab.reach(both, netns)).toEqual([`hello ${HOST}`, "refused", `hello ${HOST}`]);
	});

	test("without internet closes everything but the allowed, DNS included", async () => {
		const slot = await pool.acquire();
		await pool.setEgress(slot, { internet: false, allowCidrs: [WORLD.otherPublic], denyCidrs: [] });
		const targets = [{ host: WORLD.public }, { host: WORLD.otherPublic }, { host: GATEWAY, protocol: "dns-udp" as const }];
		expect(await lab.reach(targets, netnsOf(slot))).toEqual(["refused", `hello ${HOST}`, "timeout"]);
	});

	test("that was never set is closed", async () => {
		const slot = await pool.acquire();
		const targets = [{ host: WORLD.public }, { host: GATEWAY, protocol: "dns-udp" as const }];
		expect(await lab.reach(targets, netnsOf(slot))).toEqual(["refused", "timeout"]);
	});

	test("with something that is no address is refused and changes nothing", async () => {
		const slot = await pool.openSlot();
		const wrong = { ...OPEN, denyCidrs: ["1.2.3.4 } accept; #"] };
		await expect(pool.setEgress(slot, wrong)).rejects.toThrow("neither an IPv4 address");
		expect(await lab.reach([{ host: WORLD.public }], netnsOf(slot))).toEqual([`hello ${HOST}`]);
	});
});
