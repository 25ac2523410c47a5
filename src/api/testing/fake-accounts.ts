/** One team with one key; what is asked of it is told back. */
import type { Control } from "../../control/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import { API_KEY, CREATED_AT, TEAM } from "./known.ts";

export function fakeAccounts(): Control["accounts"] {
	const createdAt = CREATED_AT;
	const mask = { prefix: "e2b_", valueLength: 40, maskedValuePrefix: "01", maskedValueSuffix: "4567" };
	const key = (id: string, name: string) => ({
		id,
		teamId: TEAM.id,
		name,
		mask,
		createdAt,
		firstUsedAt: undefined,
		lastUsedAt: createdAt,
	});
	const acme = { ...TEAM, name: "Acme", createdAt, limits: { maxSandboxes: 5, maxTimeoutSeconds: undefined } };
	return {
		team: async () => acme,
		listKeys: async () => [key("key-1", "first")],
		createKey: async (_team, name) => ({ ...key("key-2", name), key: API_KEY }),
		renameKey: async (_team, id, name) => key(id, name),
		revokeKey: async () => {},
		listTeams: async () => [acme],
		createTeam: async (slug, name) => ({ ...acme, id: "team-2", slug, name: name ?? slug }),
		setTeamLimits: async (_id, { maxSandboxes = acme.limits.maxSandboxes }) => ({
			...acme,
			limits: { maxSandboxes: maxSandboxes ?? undefined, maxTimeoutSeconds: undefined },
		}),
		teamById: async (id) => {
			if (id !== TEAM.id) throw new OffshootError("not_found", `team '${id}' does not exist`);
			return acme;
		},
		killAll: async () => 3,
	};
}
