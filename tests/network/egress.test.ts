import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { EgressPolicy, Slot } from "../../src/engine/index.ts";
import { HOST, Lab, netnsOf, OPEN, type PoolProcess, ROUTER, WORLD } from "./lab/lab.ts";

const GATEWAY = "169.254.0.22";
const CLOSED: EgressPolicy = { internet: false, allowCidrs: [], denyCidrs: [] };
const DOMAINS: EgressPolicy = { ...CLOSED, allowDomains: ["example.com", "*.example.com"] };

/** What curl says of a connection that was reset: by exit code, before and after TLS began. */
const RESET = expect.stringMatching(/^failed (7|35|52|56)$/);

/** The proxy accepted and then reset the connection. */
const CUT = expect.stringMatching(/ECONNRESET|^refused$/);

let lab: Lab;
let pool: PoolProcess;
const slots: Slot[] = [];

beforeAll(async () => {
	lab = await Lab.open();
	await Promise.all([lab.web("world", WORLD.otherPublic), lab.web(undefined)]);
	pool = await lab.pool({ instanceId: "aaaaaa" });
});

afterEach(async () => {
	for (const slot of slots.splice(0)) await pool.release(slot);
});

afterAll(() => lab[Symbol.asyncDispose]());

async function slotWith(policy: EgressPolicy): Promise<Slot> {
	const slot = await pool.acquire();
	slots.push(slot);
	await pool.setEgress(slot, policy);
	return slot;
}

describe("a policy with domains", () => {
	test("lets HTTP and TLS through by the name that the client says, and nothing else", async () => {
		const netns = netnsOf(await slotWith(DOMAINS));
		expect(await lab.fetch("http://example.com/", WORLD.public, netns)).toBe(`example.com at ${WORLD.public} for ${HOST}`);
		expect(await lab.fetch("https://example.com/", WORLD.public, netns)).toBe(`example.com at ${WORLD.public} for ${HOST}`);
		expect(await lab.fetch("https://www.example.com/", WORLD.public, netns)).toContain("www.example.com at");
		expect(await lab.fetch("https://example.org/", WORLD.public, netns)).toEqual(RESET);
		expect(await lab.fetch("http://example.org/", WORLD.public, netns)).toEqual(RESET);
		expect(await lab.fetch(`http://${WORLD.public}/`, WORLD.public, netns)).toEqual(RESET);
		expect(await lab.fetch(`https://${WORLD.public}/`, WORLD.public, netns)).toEqual(RESET);
		const others = [{ host: WORLD.public }, { host: WORLD.public, protocol: "udp" as const }];
		expect(await lab.reach(others, netns)).toEqual(["refused", "timeout"]);
	});

	test("does not let a wildcard match the name itself", async () => {
		const netns = netnsOf(await slotWith({ ...CLOSED, allowDomains: ["*.example.com"] }));
		expect(await lab.fetch("https://example.com/", WORLD.public, netns)).toEqual(RESET);
		expect(await lab.fetch("https://a.b.example.com/", WORLD.public, netns)).toEqual(expect.stringMatching(/^failed 60$/));
	});

	test("connects to the name's own address, not to the one that the guest chose for it", async () => {
		const netns = netnsOf(await slotWith(DOMAINS));
		expect(await lab.fetch("http://example.com/", WORLD.otherPublic, netns)).toContain(`at ${WORLD.public}`);
	});

	test("never opens a closed address, whatever the name resolves to", async () => {
		const netns = netnsOf(await slotWith(DOMAINS));
		const addresses = [WORLD.private, WORLD.metadata, HOST, "127.0.0.1", "198.18.0.1", "0.0.0.0"];
		for (const address of addresses) {
			const name = `${address.replaceAll(".", "-")}.example.com`;
			expect([address, await lab.fetch(`http://${name}/`, WORLD.public, netns)]).toEqual([address, RESET]);
			expect([address, await lab.fetch(`https://${name}/`, WORLD.public, netns)]).toEqual([address, RESET]);
		}
		const open = "10-99-0-7.example.com";
		expect(await lab.fetch(`http://${open}/`, WORLD.public, netns)).toContain(`at ${WORLD.opened}`);
	});

	test("resolves names, and goes around the proxy for allowed addresses", async () => {
		const netns = netnsOf(await slotWith({ ...DOMAINS, allowCidrs: [WORLD.otherPublic] }));
		expect(await lab.reach([{ host: GATEWAY, protocol: "dns-udp" }, { host: WORLD.otherPublic }], netns)).toEqual([
			"93.184.216.34",
			`hello ${HOST}`,
		]);
		expect(await lab.fetch("http://example.org/", WORLD.otherPublic, netns)).toContain(`example.org at ${WORLD.otherPublic}`);
	});

	test("that replaces an open one ends its connections, and the other way round", async () => {
		const slot = await slotWith(OPEN);
		const netns = netnsOf(slot);
		const open = await lab.talk({ host: WORLD.public, name: "example.org" }, netns);
		expect(await open.say("GET")).toContain("example.org");
		await pool.setEgress(slot, DOMAINS);
		expect(await open.say("GET")).toMatch(/^(closed|timeout)$/);

		const named = await lab.talk({ host: WORLD.public, name: "example.com" }, netns);
		expect(await named.say("GET")).toContain("example.com");
		await pool.setEgress(slot, { ...CLOSED, allowDomains: ["example.com"] });
		expect(await named.say("GET")).toContain("example.com");
		await pool.setEgress(slot, { ...CLOSED, allowDomains: ["*.example.com"] });
		expect(await named.say("GET")).toBe("closed");
		await pool.setEgress(slot, OPEN);
		expect(await lab.fetch("http://example.org/", WORLD.public, netns)).toContain("example.org at");
	});
});

describe("a SOCKS proxy", () => {
	const socks = { host: ROUTER, port: 1080, username: "alice", password: "secret" };

	test("carries every TCP connection that is allowed, at any port; nothing goes around it", async () => {
		const netns = netnsOf(await slotWith({ ...OPEN, denyCidrs: [WORLD.otherPublic], egressProxy: socks }));
		const targets = [
			{ host: WORLD.public },
			{ host: WORLD.otherPublic },
			{ host: WORLD.private },
			{ host: WORLD.public, protocol: "udp" as const },
			{ host: GATEWAY, protocol: "dns-udp" as const },
		];
		expect(await lab.reach(targets, netns)).toEqual([
			`hello ${WORLD.otherPublic}`,
			"refused",
			"refused",
			"timeout",
			"93.184.216.34",
		]);
		expect(await lab.fetch("https://example.org/", WORLD.public, netns)).toBe(
			`example.org at ${WORLD.public} for ${WORLD.otherPublic}`,
		);
	});

	test("carries what domains allow, by the name's own address", async () => {
		const netns = netnsOf(await slotWith({ ...DOMAINS, egressProxy: socks }));
		expect(await lab.fetch("https://example.com/", WORLD.otherPublic, netns)).toBe(
			`example.com at ${WORLD.public} for ${WORLD.otherPublic}`,
		);
		expect(await lab.fetch("https://example.org/", WORLD.public, netns)).toEqual(RESET);
		expect(await lab.fetch("http://10-20-30-40.example.com/", WORLD.public, netns)).toEqual(RESET);
		expect(await lab.reach([{ host: WORLD.public }], netns)).toEqual(["refused"]);
	});

	test("is found by name, and never at a closed address", async () => {
		const named = netnsOf(await slotWith({ ...OPEN, egressProxy: { ...socks, host: "5-5-5-1.example.net" } }));
		expect(await lab.reach([{ host: WORLD.public }], named)).toEqual([`hello ${WORLD.otherPublic}`]);
		for (const host of [HOST, "127.0.0.1", WORLD.private, "5-5-5-2.example.net", "10-20-30-40.example.net"]) {
			const netns = netnsOf(await slotWith({ ...OPEN, egressProxy: { ...socks, host } }));
			expect([host, await lab.reach([{ host: WORLD.public }], netns)]).toEqual([host, [CUT]]);
		}
	});

	test("that refuses the password carries nothing", async () => {
		const netns = netnsOf(await slotWith({ ...OPEN, egressProxy: { ...socks, password: "wrong" } }));
		expect(await lab.reach([{ host: WORLD.public }], netns)).toEqual([CUT]);
	});
});

describe("the proxy's process", () => {
	test("is nobody on the host, and not there until it is needed", async () => {
		const own = await lab.pool({ instanceId: "cccccc" });
		const slot = await own.openSlot();
		const before = await proxies();
		await own.setEgress(slot, DOMAINS);
		const [added] = (await proxies()).filter((pid) => !before.includes(pid));
		const status = await lab.sh(`cat /proc/${added}/status`);
		const [, uids = ""] = /^Uid:\s+(.*)$/m.exec(status) ?? [];
		expect(new Set(uids.split(/\s+/)).size).toBe(1);
		expect(Number(uids.split(/\s+/)[0])).toBeGreaterThan(1_879_048_191);
		expect(status).toMatch(/^CapEff:\s+0+$/m);
		expect(status).toMatch(/^Groups:\s*$/m);
		await own.destroy();
	});

	test("could not reach a closed address even if it tried", async () => {
		await slotWith(DOMAINS);
		const range = await pool.started;
		const uid = 1_879_048_192 + Number(range.split(".")[1]) * 65536 + Number(range.split(".")[2]) * 256;
		const ask = (address: string) =>
			`setpriv --reuid ${uid} --clear-groups curl -s --max-time 3 http://${address}/ || echo failed $?`;
		const hosts = [WORLD.public, WORLD.private, WORLD.metadata, HOST, "127.0.0.1"];
		const answers = [];
		for (const address of hosts) answers.push((await lab.sh(ask(address))).trim());
		expect(answers).toEqual([expect.stringContaining(`at ${WORLD.public}`), "failed 7", "failed 7", "failed 7", "failed 7"]);
	});

	test("is started again when it ended; its connections end, and meanwhile nothing passes", async () => {
		const own = await lab.pool({ instanceId: "dddddd" });
		const before = await proxies();
		const slot = await own.acquire();
		await own.setEgress(slot, DOMAINS);
		const netns = netnsOf(slot);
		const stream = await lab.talk({ host: WORLD.public, name: "example.com" }, netns);
		expect(await stream.say("GET")).toContain("example.com");
		const [pid] = (await proxies()).filter((found) => !before.includes(found));
		await lab.sh(`kill -9 ${pid}`);
		expect(await stream.say("GET")).toBe("closed");
		await expect
			.poll(() => lab.fetch("http://example.com/", WORLD.public, netns), { timeout: 30_000 })
			.toContain("example.com at");
		expect(await lab.fetch("http://example.org/", WORLD.public, netns)).toEqual(RESET);
		await own.destroy();
	});

	test("goes with its server: redirected connections fail until the next one has the policies", async () => {
		const crashed = await lab.pool({ instanceId: "eeeeee" });
		const slot = await crashed.acquire();
		await crashed.setEgress(slot, { ...DOMAINS, allowCidrs: [WORLD.otherPublic] });
		const netns = netnsOf(slot);
		const stream = await lab.talk({ host: WORLD.public, name: "example.com" }, netns);
		expect(await stream.say("GET")).toContain("example.com");
		await crashed.kill();
		expect(await stream.say("GET")).toBe("closed");
		await expect.poll(() => lab.fetch("http://example.com/", WORLD.public, netns), { timeout: 30_000 }).toEqual(RESET);
		expect(await lab.fetch("http://example.org/", WORLD.otherPublic, netns)).toContain("example.org at");

		const next = await lab.pool({ instanceId: "eeeeee" });
		await next.adopt([slot.index]);
		expect(await lab.fetch("http://example.com/", WORLD.public, netns)).toEqual(expect.stringMatching(/^failed/));
		await next.setEgress(slot, { ...DOMAINS, allowCidrs: [WORLD.otherPublic] });
		expect(await lab.fetch("http://example.com/", WORLD.public, netns)).toContain("example.com at");
		await next.destroy();
	});

	/** Pids of the egress proxies on this machine. */
	async function proxies(): Promise<string[]> {
		const found = await lab.sh("grep -l engine/network/egress/main.ts /proc/[0-9]*/cmdline 2>/dev/null || true");
		return [...found.matchAll(/\/proc\/(\d+)\//g)].flatMap(([, pid]) => pid ?? []);
	}
});
