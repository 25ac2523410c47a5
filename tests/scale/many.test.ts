import { Sandbox } from "e2b";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostCounts } from "../support/host.ts";
import { campaignLength } from "../support/random.ts";
import { until } from "../support/sandboxes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
	server = await startTestServer();
});
afterAll(() => server.destroy());

async function settled(): Promise<Record<string, number>> {
	const { instance } = await server.status();
	let last = "";
	await until("the pools to settle", async () => {
		const now = JSON.stringify(await hostCounts(instance));
		const same = now === last;
		last = now;
		await new Promise((resolve) => setTimeout(resolve, 500));
		return same;
	});
	return hostCounts(instance);
}

test("twenty sandboxes at once, then fifty cycles of snapshot, create and kill, leave the host as it was", async () => {
	// Slots are kept for reuse: the first wave makes as many as it needs, none of the later ones may add to them.
	const wave = async () => {
		const sandboxes = await Promise.all(Array.from({ length: 20 }, () => Sandbox.create("base", server.sdk)));
		const outputs = await Promise.all(sandboxes.map((sandbox, index) => sandbox.commands.run(`echo ${index}`)));
		expect(outputs.map((output) => output.stdout)).toEqual(sandboxes.map((_, index) => `${index}\n`));
		await Promise.all(sandboxes.map((sandbox) => sandbox.kill()));
	};
	await wave();
	const before = await settled();
	await wave();
	const source = await Sandbox.create("base", server.sdk);
	for (let cycle = 0; cycle < campaignLength(50, 300); cycle++) {
		const { snapshotId } = await source.createSnapshot();
		const child = await Sandbox.create(snapshotId, server.sdk);
		expect((await child.commands.run("echo alive")).stdout).toBe("alive\n");
		await child.kill();
		expect(await Sandbox.deleteSnapshot(snapshotId, server.sdk)).toBe(true);
	}
	await source.kill();
	expect(await settled()).toEqual(before);
}, 900_000);

test("two instances live side by side, and `down` of one leaves the other untouched", async () => {
	const mine = await Sandbox.create("base", server.sdk);
	const neighbour = await startTestServer();
	const theirs = await Sandbox.create("base", neighbour.sdk);
	const { instance } = await neighbour.status();
	expect(instance).not.toBe((await server.status()).instance);
	const pid = (await mine.commands.run("sleep 1000", { background: true })).pid;
	expect((await theirs.commands.run("echo here")).stdout).toBe("here\n");
	await neighbour.destroy();
	expect(Object.values(await hostCounts(instance))).toEqual([0, 0, 0, 0, 0]);
	expect((await mine.commands.list()).map((process) => process.pid)).toContain(pid);
	await mine.kill();
}, 300_000);
