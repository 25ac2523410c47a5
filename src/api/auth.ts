/**
 * Who calls: a team, by its API key in `X-API-KEY` or as a bearer token; or the operator in a team's place, by the admin
 * token and the team's id.
 */
import type { FastifyRequest } from "fastify";
import type { Control, Team } from "../control/index.ts";
import { isSameSecret, OffshootError } from "../protocol/index.ts";
import type { ApiContext } from "./app.ts";

const BEARER = /^bearer +(\S+) *$/i;

type Accounts = Pick<Control["accounts"], "teamById">;
type Authority = Pick<ApiContext, "adminToken"> & {
	readonly control: Pick<Control, "authenticate"> & { readonly accounts: Accounts };
};

/**
 * Hook that sets `request.team`.
 * @throws OffshootError unauthenticated; forbidden when a key is of another team than the one named; not_found when the
 * operator names no team
 */
export function authentication({ control, adminToken }: Authority): (request: FastifyRequest) => Promise<void> {
	return async (request) => {
		request.team = isOperator(request)
			? await teamOfOperator(control.accounts, adminToken, request)
			: await teamOfKey(control, request);
	};
}

/** True when the operator speaks, or somebody who pretends to: the admin token comes before any key. */
export function isOperator({ headers }: FastifyRequest): boolean {
	return headers["x-admin-token"] !== undefined;
}

/** Hook for what is the operator's alone. @throws OffshootError unauthenticated */
export function operatorOnly(adminToken: string): (request: FastifyRequest) => Promise<void> {
	return async ({ headers }) => assertOperator(headers["x-admin-token"], adminToken);
}

async function teamOfKey(control: Pick<Control, "authenticate">, request: FastifyRequest): Promise<Team> {
	const team = await control.authenticate(apiKeyOf(request));
	if (team === undefined) {
		throw new OffshootError(
			"unauthenticated",
			"Invalid API key: it is unknown or was revoked; `offshoot env` prints a valid one",
		);
	}
	const named = request.headers["x-team-id"];
	if (named === undefined || named === "" || named === team.id) return team;
	throw new OffshootError(
		"forbidden",
		`X-Team-ID is not the team of the API key, '${team.id}'; leave it out: the key says which`,
	);
}

async function teamOfOperator(accounts: Accounts, adminToken: string, { headers }: FastifyRequest): Promise<Team> {
	assertOperator(headers["x-admin-token"], adminToken);
	const teamId = headers["x-team-id"];
	if (typeof teamId === "string" && teamId !== "") return accounts.teamById(teamId);
	throw new OffshootError("unauthenticated", "X-Team-ID is missing: with X-Admin-Token it says whose place the operator takes");
}

function assertOperator(given: string | readonly string[] | undefined, adminToken: string): void {
	if (typeof given === "string" && isSameSecret(given, adminToken)) return;
	throw new OffshootError("unauthenticated", "X-Admin-Token is missing or wrong: it is in admin-token in the data directory");
}

/** The key as it was sent. @throws OffshootError unauthenticated */
export function apiKeyOf({ headers }: FastifyRequest): string {
	const key = headers["x-api-key"];
	if (typeof key === "string" && key !== "") return key;
	if (headers.authorization === undefined) {
		throw new OffshootError("unauthenticated", "authorization header is missing: send your API key as X-API-Key");
	}
	const token = BEARER.exec(headers.authorization)?.[1];
	if (token === undefined) throw new OffshootError("unauthenticated", "authorization header is malformed");
	return token;
}
