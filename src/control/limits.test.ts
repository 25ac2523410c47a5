import { expect, it } from "vitest";
import { eventually, World } from "./testing/world.ts";

it("a team's own limits hold from its next request on, and for it alone", async () => {
	await using world = await World.open({ maxConcurrent: 3, maxTimeoutSeconds: 100 });
	const { accounts } = world.control;
	const other = await accounts.createTeam("other", undefined);
	await accounts.setTeamLimits(world.team.id, { maxSandboxes: 2, maxTimeoutSeconds: 50 });
	const first = await world.create({ timeout: 50 });
	await expect(world.create({ timeout: 51 })).rejects.toMatchObject({
		code: "invalid_request",
		message: "Timeout cannot be greater than 50 seconds",
	});
	await expect(world.connect(first.sandboxId, 51)).rejects.toMatchObject({ code: "invalid_request" });
	await world.create({ timeout: 50 });
	await expect(world.create({ timeout: 50 })).rejects.toMatchObject({
		code: "too_many",
		message: expect.stringContaining("2 sandboxes"),
	});
	await accounts.setTeamLimits(world.team.id, { maxSandboxes: 4 });
	await accounts.setTeamLimits(other.id, { maxSandboxes: 1 });
	await world.create({ timeout: 50 });
	await accounts.setTeamLimits(world.team.id, { maxSandboxes: null, maxTimeoutSeconds: null });
	await expect(world.create({ timeout: 100 })).rejects.toMatchObject({ message: expect.stringContaining("3 sandboxes") });
	await world.connect(first.sandboxId, 100);
	await world.checkInvariants();
});

it("what traffic wakes lives no longer than its team's sandboxes may", async () => {
	await using world = await World.open();
	const { sandboxId } = await world.create({ autoResume: true, secure: false, timeout: 600 });
	await world.pause(sandboxId);
	await world.control.accounts.setTeamLimits(world.team.id, { maxTimeoutSeconds: 60 });
	await world.admit(sandboxId);
	const { startedAt, endAt } = await world.get(sandboxId);
	expect(endAt.getTime() - startedAt.getTime()).toBe(60_000);
});

it("who asks for no time gets what the team may have at most", async () => {
	await using world = await World.open({ maxTimeoutSeconds: 100 });
	const lifetime = async (id: string) => {
		const { startedAt, endAt } = await world.get(id);
		return (endAt.getTime() - startedAt.getTime()) / 1000;
	};
	const { sandboxId } = await world.create({ timeout: { upTo: 300 } });
	expect(await lifetime(sandboxId)).toBe(100);
	const other = await world.create({ timeout: { upTo: 15 } });
	expect(await lifetime(other.sandboxId)).toBe(15);
	await world.connect(other.sandboxId, { upTo: 300 });
	expect(await lifetime(other.sandboxId)).toBe(100);
	await world.pause(sandboxId);
	await world.connect(sandboxId, { upTo: 300 });
	expect(await lifetime(sandboxId)).toBe(100);
	const [fork] = await world.fork(sandboxId, 1, { upTo: 300 });
	expect(await lifetime(fork && "sandbox" in fork ? fork.sandbox.sandboxId : "")).toBe(100);
});

it("a limit that was lowered below a sandbox's age lets it end sooner, and no later", async () => {
	await using world = await World.open();
	const { sandboxId, endAt } = await world.create({ timeout: 3_000 });
	world.clock.advance(1_000_000);
	await world.control.accounts.setTeamLimits(world.team.id, { maxTimeoutSeconds: 100 });
	const tooLate = { code: "invalid_request", message: "Max instance length exceeded" };
	await expect(world.control.setTimeout(world.team, sandboxId, 3_000)).rejects.toMatchObject(tooLate);
	expect((await world.connect(sandboxId, 60)).resumed).toBe(false);
	await world.control.refreshSandbox(world.team, sandboxId, 60);
	expect((await world.get(sandboxId)).endAt).toEqual(endAt);
	await world.control.setTimeout(world.team, sandboxId, 60);
	expect((await world.get(sandboxId)).endAt).toEqual(new Date(world.clock.now() + 60_000));
	await expect(world.control.refreshSandbox(world.team, sandboxId, 90)).rejects.toMatchObject(tooLate);
	await world.control.setTimeout(world.team, sandboxId, 0);
	world.clock.advance(0);
	await eventually(async () => expect((await world.row(sandboxId)).state).toBe("ended"));
});
