import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually, World } from "./testing/world.ts";

const signal = new AbortController().signal;
const DENIED = { internet: false, allowCidrs: [], denyCidrs: [] };
const OPEN = { internet: true, allowCidrs: [], denyCidrs: [] };

let world: World;

beforeEach(async () => {
	world = await World.open();
});

afterEach(() => world[Symbol.asyncDispose]());

const enforced = (sandboxId: string) => world.host.container({ sandboxId, incarnation: 1 })?.egress;

describe("setNetwork", () => {
	it("is on record and enforced when it resolves; what is missing is cleared", async () => {
		const { sandboxId } = await world.create({ network: { denyOut: ["8.8.8.8"], httpsPorts: [8443] } });
		await world.control.setNetwork(world.team, sandboxId, { denyOut: ["0.0.0.0/0"] }, signal);
		expect(enforced(sandboxId)).toEqual(DENIED);
		expect((await world.control.getSandbox(world.team, sandboxId)).network).toEqual({
			denyOut: ["0.0.0.0/0"],
			httpsPorts: [8443],
		});

		await world.control.setNetwork(world.team, sandboxId, {}, signal);
		expect(enforced(sandboxId)).toEqual(OPEN);
		expect(await world.control.getSandbox(world.team, sandboxId)).toMatchObject({
			network: { httpsPorts: [8443] },
			allowInternetAccess: undefined,
		});
	});

	it("leaves the last of several calls in force", async () => {
		const { sandboxId } = await world.create();
		const updates = Array.from({ length: 5 }, (_, n) => ({ denyOut: [`8.8.8.${n}`] }));
		await Promise.all(updates.map((update) => world.control.setNetwork(world.team, sandboxId, update, signal)));
		expect(enforced(sandboxId)).toEqual({ ...OPEN, denyCidrs: ["8.8.8.4/32"] });
		expect((await world.control.getSandbox(world.team, sandboxId)).network).toEqual({ denyOut: ["8.8.8.4"] });
	});

	it("that the host refuses changes nothing", async () => {
		const { sandboxId } = await world.create({ network: { denyOut: ["8.8.8.8"] } });
		world.faults.failAt("setEgress", new Error("no"));
		await expect(world.control.setNetwork(world.team, sandboxId, {}, signal)).rejects.toThrow("no");
		expect((await world.control.getSandbox(world.team, sandboxId)).network).toEqual({ denyOut: ["8.8.8.8"] });
	});

	it("is refused for a paused sandbox, and for another team's", async () => {
		const { sandboxId } = await world.create();
		const stranger = { id: "other", slug: "other" };
		await expect(world.control.setNetwork(stranger, sandboxId, {}, signal)).rejects.toThrow("doesn't exist");
		await world.pause(sandboxId);
		await expect(world.control.setNetwork(world.team, sandboxId, {}, signal)).rejects.toThrow("doesn't exist");
	});

	it("is set again by the next server, also when the last one died between row and host", async () => {
		const { sandboxId } = await world.create();
		const { reached } = world.faults.holdAt("setEgress");
		void world.control.setNetwork(world.team, sandboxId, { denyOut: ["0.0.0.0/0"] }, signal).catch(() => {});
		await reached;
		expect(enforced(sandboxId)).toBe(undefined);
		await world.crashAndStart();
		await eventually(() => expect(enforced(sandboxId)).toEqual(DENIED));
	});
});
