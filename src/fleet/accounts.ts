/**
 * Rules for teams and their keys, used by the API and by the operator's command line alike. A key's value is shown
 * once, when it is made.
 */
import { OffshootError } from "../protocol/index.ts";
import type { Repositories } from "./fleet.ts";
import type { ApiKeyRecord, TeamLimitsChange, TeamRecord } from "./records.ts";

type Accounts = Pick<Repositories, "keys" | "teams">;

/** A team's slug is the namespace of its template names, and part of them. */
const SLUG = /^[a-z0-9][a-z0-9-_]{0,62}$/;
const MAX_NAME = 200;
/** What every database holds as an integer; as seconds, 68 years. */
const MAX_LIMIT = 2 ** 31 - 1;

/** @throws OffshootError invalid_request, conflict when the slug is taken */
export async function createTeam({ teams }: Accounts, slug: string, name = slug): Promise<TeamRecord> {
	if (!SLUG.test(slug)) {
		throw new OffshootError(
			"invalid_request",
			`slug '${slug.slice(0, 80)}': expected 1 to 63 of a-z, 0-9, - and _, the first a letter or digit`,
		);
	}
	const checked = checkName(name);
	if (await teams.bySlug(slug)) throw new OffshootError("conflict", `there is a team '${slug}' already; choose another slug`);
	return teams.create({ slug, name: checked });
}

/**
 * In force from the next request on; sandboxes that run stay as they are.
 * @throws OffshootError invalid_request, not_found
 */
export async function setTeamLimits({ teams }: Accounts, id: string, change: TeamLimitsChange): Promise<TeamRecord> {
	checkLimit("maxSandboxes", change.maxSandboxes);
	checkLimit("maxTimeoutSeconds", change.maxTimeoutSeconds);
	const team = await teams.setLimits(id, change);
	if (!team) throw teamNotFound(id);
	return team;
}

/** @throws OffshootError not_found */
export async function requireTeam({ teams }: Pick<Accounts, "teams">, id: string): Promise<TeamRecord> {
	const team = await teams.get(id);
	if (!team) throw teamNotFound(id);
	return team;
}

function teamNotFound(id: string): OffshootError {
	return new OffshootError("not_found", `team '${id.slice(0, 80)}' does not exist`);
}

function checkLimit(field: string, value: number | null | undefined): void {
	if (value === null || value === undefined || (Number.isInteger(value) && value >= 1 && value <= MAX_LIMIT)) return;
	throw new OffshootError(
		"invalid_request",
		`${field}: expected a whole number from 1 to ${MAX_LIMIT}, or nothing for the server's own limit`,
	);
}

/** @throws OffshootError invalid_request */
export async function createKey(
	{ keys }: Accounts,
	teamId: string,
	name: string,
): Promise<ApiKeyRecord & { readonly key: string }> {
	return keys.create({ teamId, name: checkName(name) });
}

/** @throws OffshootError invalid_request, not_found */
export async function renameKey({ keys }: Accounts, teamId: string, id: string, name: string): Promise<ApiKeyRecord> {
	const renamed = await keys.rename(teamId, id, checkName(name));
	if (!renamed) throw keyNotFound(id);
	return renamed;
}

/** From now on the key opens nothing. @throws OffshootError not_found */
export async function revokeKey({ keys }: Accounts, teamId: string, id: string): Promise<void> {
	if (!(await keys.revoke(teamId, id, new Date()))) throw keyNotFound(id);
}

/** The key as it may be shown: its beginning and end, with as many dots as fit on a line. */
export function maskedKey({ mask }: ApiKeyRecord): string {
	return `${mask.prefix}${mask.maskedValuePrefix}…${mask.maskedValueSuffix}`;
}

function keyNotFound(id: string): OffshootError {
	return new OffshootError("not_found", `API key '${id.slice(0, 80)}' does not exist or belongs to another team`);
}

function checkName(text: string): string {
	const name = text.trim();
	if (name === "" || name.length > MAX_NAME)
		throw new OffshootError("invalid_request", `name must have 1 to ${MAX_NAME} characters`);
	return name;
}
