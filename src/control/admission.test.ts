import { describe, expect, it } from "vitest";
import { World } from "./testing/world.ts";

describe.concurrent("admission", () => {
	it("sends requests to the guest that runs, also while a snapshot is taken", async () => {
		await using world = await World.open();
		const network = { maskRequestHost: "example.com", httpsPorts: [8443] };
		const { sandboxId, accessToken } = await world.create({ network });
		const expected = {
			kind: "proxy",
			incarnation: 1,
			address: (await world.row(sandboxId)).address,
			accessToken,
			trafficToken: undefined,
			maskRequestHost: "example.com",
			httpsPorts: [8443],
		};
		expect(await world.admit(sandboxId)).toEqual(expected);
		const held = world.faults.holdAt("capture:published");
		const snapshot = world.snapshot(sandboxId);
		await held.reached;
		expect(await world.admit(sandboxId)).toEqual(expected);
		held.release();
		await snapshot;
	});

	it("finds neither unknown sandboxes, nor starting ones, nor paused ones that traffic may not wake", async () => {
		await using world = await World.open();
		const { sandboxId, accessToken = "" } = await world.create();
		await world.pause(sandboxId);
		expect(await world.admit("inone")).toEqual({ kind: "not-found" });
		expect(await world.admit(sandboxId, { accessToken })).toEqual({ kind: "not-found" });
		const held = world.faults.holdAt("start:made");
		const created = world.create();
		await held.reached;
		const [starting] = (await world.fleet.sandboxes.living()).filter((row) => row.state === "starting");
		expect(await world.admit(starting?.id ?? "")).toEqual({ kind: "not-found" });
		await expect(world.get(starting?.id ?? "")).rejects.toMatchObject({ code: "not_found" });
		held.release();
		await created;
	});

	it("wakes a paused sandbox once for all requests that hold the right token for their port", async () => {
		await using world = await World.open();
		const created = await world.create({ autoResume: true, timeout: 30, network: { allowPublicTraffic: false } });
		const { sandboxId, accessToken = "", trafficToken = "" } = created;
		await world.pause(sandboxId);
		expect(await world.admit(sandboxId)).toEqual({ kind: "forbidden" });
		expect(await world.admit(sandboxId, { accessToken: trafficToken })).toEqual({ kind: "forbidden" });
		expect(await world.admit(sandboxId, { port: 80, accessToken })).toEqual({ kind: "forbidden" });
		world.faults.reset();
		const admissions = await Promise.all([
			world.admit(sandboxId, { accessToken }),
			world.admit(sandboxId, { port: 80, trafficToken }),
			world.admit(sandboxId, { port: 80 }),
		]);
		expect(admissions.map((admission) => admission.kind)).toEqual(["proxy", "proxy", "proxy"]);
		expect(world.faults.passed.filter((name) => name === "start")).toHaveLength(1);
		const { startedAt, endAt } = await world.get(sandboxId);
		expect(endAt.getTime() - startedAt.getTime()).toBe(300_000);
	});

	it("wakes nothing for a browser's preflight, with or without a token", async () => {
		await using world = await World.open();
		const { sandboxId, accessToken = "" } = await world.create({ autoResume: true });
		expect(await world.admit(sandboxId, { preflight: true })).toMatchObject({ kind: "proxy" });
		await world.pause(sandboxId);
		expect(await world.admit(sandboxId, { preflight: true })).toEqual({ kind: "asleep" });
		expect(await world.admit(sandboxId, { preflight: true, accessToken })).toEqual({ kind: "asleep" });
		expect((await world.get(sandboxId)).state).toBe("paused");
		const other = await world.create();
		await world.pause(other.sandboxId);
		expect(await world.admit(other.sandboxId, { preflight: true })).toEqual({ kind: "not-found" });
	});

	it("lets all requests share a resume that fails, and says when the team's limit is the reason", async () => {
		await using world = await World.open({ maxConcurrent: 1 });
		const { sandboxId } = await world.create({ autoResume: true, secure: false });
		await world.pause(sandboxId);
		world.faults.failAt("start", new Error("no slot"), 1);
		const results = await Promise.allSettled([world.admit(sandboxId), world.admit(sandboxId)]);
		expect(results.map((result) => result.status)).toEqual(["rejected", "rejected"]);
		await world.create();
		expect(await world.admit(sandboxId)).toMatchObject({
			kind: "limit",
			message: expect.stringContaining("Sandbox limit reached"),
		});
	});

	it("offers the tokens of running and wakeable sandboxes to signed file URLs", async () => {
		await using world = await World.open();
		const running = await world.create();
		const wakeable = await world.create({ autoResume: true });
		const asleep = await world.create();
		await world.create({ secure: false });
		await world.pause(wakeable.sandboxId);
		await world.pause(asleep.sandboxId);
		const candidates = [...world.control.signedUrlCandidates()];
		expect(candidates).toEqual([running, wakeable].map(({ sandboxId, accessToken }) => ({ sandboxId, accessToken })));
		expect(await world.control.stats()).toEqual({ running: 2, paused: 2 });
	});
});
