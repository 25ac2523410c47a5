import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createKey, createTeam, type Fleet, maskedKey, openFleet, renameKey, revokeKey, setTeamLimits } from "./index.ts";

let directory: string;
let fleet: Fleet;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "offshoot-accounts-"));
	fleet = await openFleet({ path: join(directory, "fleet.db") }, new AbortController().signal);
});
afterEach(async () => {
	await fleet.close();
	await rm(directory, { recursive: true });
});

test("teams have slugs that are part of names, each once", async () => {
	expect(await createTeam(fleet, "acme-2_x")).toMatchObject({ slug: "acme-2_x", name: "acme-2_x" });
	await expect(createTeam(fleet, "acme-2_x")).rejects.toMatchObject({ code: "conflict" });
	for (const slug of ["", "A", "a/b", "a:b", "-a", "x".repeat(64)]) {
		await expect(createTeam(fleet, slug)).rejects.toMatchObject({ code: "invalid_request" });
	}
	expect((await fleet.teams.list()).map((team) => team.slug)).toEqual(["local", "acme-2_x"]);
});

test("a team touches its own keys only, and sees them masked", async () => {
	const other = await createTeam(fleet, "other");
	const { key, id } = await createKey(fleet, fleet.defaultTeam.id, " ci ");
	await expect(renameKey(fleet, other.id, id, "stolen")).rejects.toMatchObject({ code: "not_found" });
	await expect(revokeKey(fleet, other.id, id)).rejects.toMatchObject({ code: "not_found" });
	const [listed] = await fleet.keys.list(fleet.defaultTeam.id);
	expect(listed && [listed.name, maskedKey(listed)]).toEqual(["ci", `${key.slice(0, 6)}…${key.slice(-4)}`]);
	await revokeKey(fleet, fleet.defaultTeam.id, id);
	await expect(revokeKey(fleet, fleet.defaultTeam.id, id)).rejects.toMatchObject({ code: "not_found" });
	await expect(createKey(fleet, other.id, "  ")).rejects.toMatchObject({ code: "invalid_request" });
});

test("a team's limits are its own, one by one, until they are given back", async () => {
	const { id, limits } = await createTeam(fleet, "other");
	expect(limits).toEqual({ maxSandboxes: undefined, maxTimeoutSeconds: undefined });
	await setTeamLimits(fleet, id, { maxSandboxes: 5 });
	await setTeamLimits(fleet, id, { maxTimeoutSeconds: 60 });
	expect((await fleet.teams.get(id))?.limits).toEqual({ maxSandboxes: 5, maxTimeoutSeconds: 60 });
	expect((await setTeamLimits(fleet, id, { maxSandboxes: null })).limits).toEqual({
		maxSandboxes: undefined,
		maxTimeoutSeconds: 60,
	});
	expect(fleet.defaultTeam.limits.maxTimeoutSeconds).toBeUndefined();
	for (const maxSandboxes of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
		await expect(setTeamLimits(fleet, id, { maxSandboxes })).rejects.toMatchObject({ code: "invalid_request" });
	}
	await expect(setTeamLimits(fleet, "none", { maxSandboxes: 1 })).rejects.toMatchObject({ code: "not_found" });
});
