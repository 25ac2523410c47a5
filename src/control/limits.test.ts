import { expect, it } from "vitest";
import { World } from "./testing/world.ts";

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
