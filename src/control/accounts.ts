/** Teams and keys, for the API: a thin way to the rules that fleet keeps. */
import {
	type ApiKeyRecord,
	createKey,
	createTeam,
	renameKey,
	requireTeam,
	revokeKey,
	setTeamLimits,
	type TeamLimitsChange,
	type TeamRecord,
} from "../fleet/index.ts";
import { type Core, unlessKilled } from "./core.ts";
import { endSandbox } from "./kill.ts";
import type { Team } from "./types.ts";

/** What a team does with its keys, and the operator with teams. */
export interface Accounts {
	team(team: Team): Promise<TeamRecord>;
	listKeys(team: Team): Promise<readonly ApiKeyRecord[]>;
	/** `key` is the only time its value can be seen. @throws OffshootError invalid_request */
	createKey(team: Team, name: string): Promise<ApiKeyRecord & { readonly key: string }>;
	/** @throws OffshootError invalid_request, not_found */
	renameKey(team: Team, id: string, name: string): Promise<ApiKeyRecord>;
	/** @throws OffshootError not_found */
	revokeKey(team: Team, id: string): Promise<void>;
	/** For the operator. */
	listTeams(): Promise<readonly TeamRecord[]>;
	/** For the operator. @throws OffshootError invalid_request, conflict when the slug is taken */
	createTeam(slug: string, name: string | undefined): Promise<TeamRecord>;
	/** For the operator. @throws OffshootError invalid_request, not_found */
	setTeamLimits(teamId: string, change: TeamLimitsChange): Promise<TeamRecord>;
	/** For the operator. @throws OffshootError not_found */
	teamById(teamId: string): Promise<TeamRecord>;
	/** For the operator: ends all of a team's sandboxes. @returns how many. @throws OffshootError not_found */
	killAll(teamId: string): Promise<number>;
}

export function accountsOf(core: Core): Accounts {
	const { fleet } = core;
	return {
		team: (team) => requireTeam(fleet, team.id),
		listKeys: (team) => fleet.keys.list(team.id),
		createKey: (team, name) => createKey(fleet, team.id, name),
		renameKey: (team, id, name) => renameKey(fleet, team.id, id, name),
		revokeKey: (team, id) => revokeKey(fleet, team.id, id),
		listTeams: () => fleet.teams.list(),
		createTeam: (slug, name) => createTeam(fleet, slug, name),
		setTeamLimits: (teamId, change) => setTeamLimits(fleet, teamId, change),
		teamById: (teamId) => requireTeam(fleet, teamId),
		killAll: async (teamId) => {
			await requireTeam(fleet, teamId);
			const theirs = [...core.ledger.all()].filter((record) => record.teamId === teamId);
			await Promise.all(theirs.map(({ id }) => unlessKilled(endSandbox(core, id, { reason: "killed by the operator" }))));
			return theirs.length;
		},
	};
}
