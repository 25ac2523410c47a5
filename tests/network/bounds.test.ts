import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab, netnsOf, type PoolProcess, ROUTER, WORLD } from "./lab/lab.ts";

const GATEWAY = "169.254.0.22";
const DNS = { host: GATEWAY, protocol: "dns-udp" } as const;

let lab: Lab;
let pool: PoolProcess;

beforeAll(async () => {
	lab = await Lab.open();
	pool = await lab.pool({ instanceId: "aaaaaa", ahead: 0 });
});

afterAll(() => lab[Symbol.asyncDispose]());

test("a guest that floods DNS is answered at a bounded rate, and others are answered meanwhile", async () => {
	const [noisy, quiet] = await Promise.all([pool.openSlot(), pool.openSlot()]);
	const [answers, normal] = await Promise.all([
		lab.reach([{ host: GATEWAY, protocol: "dns-flood", count: 3000 }], netnsOf(noisy)),
		lab.reach([DNS], netnsOf(quiet)),
	]);
	expect(Number(answers[0])).toBeGreaterThan(100);
	expect(Number(answers[0])).toBeLessThan(1000);
	expect(normal).toEqual(["93.184.216.34"]);
});

test("a guest cannot fill the host's table of connections", async () => {
	const [greedy, modest] = await Promise.all([pool.openSlot(), pool.openSlot()]);
	const seen = await lab.spy("ip", "prerouting", `iifname "osaaaaaa-${greedy.index}"`);
	await lab.reach([{ host: WORLD.public, protocol: "udp-scan", count: 6000 }], netnsOf(greedy));
	expect(await seen()).toBe(4096);
	expect(await lab.reach([{ host: WORLD.public }], netnsOf(greedy))).toEqual(["timeout"]);
	expect(await lab.reach([{ host: WORLD.public }], netnsOf(modest))).toEqual(["hello 5.5.5.2"]);

	await pool.release(greedy);
	const next = await pool.openSlot();
	expect(next.index).toBe(greedy.index);
	expect(await lab.reach([{ host: WORLD.public }], netnsOf(next))).toEqual(["hello 5.5.5.2"]);
});

test("the host's resolvers are asked as they are now, the next one when the first is silent", async () => {
	const slot = await pool.openSlot();
	await lab.setResolvers("5.5.5.99", ROUTER);
	await expect.poll(() => lab.reach([DNS], netnsOf(slot)), { timeout: 20_000 }).toEqual(["93.184.216.34"]);
	await lab.setResolvers("5.5.5.99");
	await expect.poll(() => lab.reach([DNS], netnsOf(slot)), { timeout: 20_000 }).toEqual(["timeout"]);

	const unanswered = lab.reach([DNS], netnsOf(slot));
	await pool.close();
	expect(await unanswered).toEqual(["timeout"]);
	expect((await pool.stats()).used).toBeGreaterThan(0);
});
