/** What every part of the API shares: the typed Fastify instance and what its handlers work with. */

import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type {
	FastifyBaseLogger,
	FastifyInstance,
	FastifyRequest,
	RawReplyDefaultExpression,
	RawRequestDefaultExpression,
	RawServerDefault,
} from "fastify";
import type { Control, Team } from "../control/index.ts";
import { OffshootError } from "../protocol/index.ts";

export type App = FastifyInstance<
	RawServerDefault,
	RawRequestDefaultExpression,
	RawReplyDefaultExpression,
	FastifyBaseLogger,
	TypeBoxTypeProvider
>;

export interface ApiContext {
	readonly control: Control;
	/** Opens the operator's routes. */
	readonly adminToken: string;
	/** `host:port` under which clients find sandboxes: they build `<port>-<id>.<domain>` from it. */
	readonly domain: string;
	/**
	 * Aborted when the server stops. Operations get this signal and never the client's: what was begun for a client that
	 * has left is finished all the same.
	 */
	readonly signal: AbortSignal;
}

declare module "fastify" {
	interface FastifyRequest {
		/** Set by authentication; null on routes that need none. */
		team: Team | null;
	}

	interface FastifyContextConfig {
		/** A field of the body that is null is a value of its own; on other routes it counts as not sent. */
		nullIsValue?: boolean;
	}
}

/** The team that sent an authenticated request. */
export function teamOf(request: FastifyRequest): Team {
	if (request.team === null) throw new OffshootError("unauthenticated", "authorization header is missing");
	return request.team;
}
