/** Who calls: a team, by its API key in `X-API-Key` or as a bearer token. */
import type { FastifyRequest } from "fastify";
import type { Control } from "../control/index.ts";
import { OffshootError } from "../protocol/index.ts";

const BEARER = /^bearer +(\S+) *$/i;

/** Hook that sets `request.team`. @throws OffshootError unauthenticated */
export function authentication(control: Pick<Control, "authenticate">): (request: FastifyRequest) => Promise<void> {
	return async (request) => {
		const team = await control.authenticate(apiKeyOf(request));
		if (team === undefined) {
			throw new OffshootError(
				"unauthenticated",
				"Invalid API key: it is unknown or was revoked; `offshoot env` prints a valid one",
			);
		}
		request.team = team;
	};
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
