/**
 * What a browser asks before a page may send a request to a guest's agent, answered in the agent's place while its
 * sandbox sleeps: a browser never sends the token with it, so it could wake nobody, and the page's own request, which
 * has the token, would never come.
 */
import type { Answer } from "./answers.ts";
import type { ClientRequest } from "./client.ts";

/** As the agent says it. Source: E2B wire protocol. */
const METHODS = "HEAD, GET, POST, PUT, PATCH, DELETE";
const MAX_AGE_S = 7200;

/** Source: Fetch standard, CORS-preflight request. */
export function isPreflight({ method, headers }: ClientRequest): boolean {
	return method === "OPTIONS" && headers.origin !== undefined && headers["access-control-request-method"] !== undefined;
}

export function preflightAnswer({ headers }: ClientRequest): Answer {
	return {
		status: 204,
		body: "",
		headers: {
			"access-control-allow-methods": METHODS,
			"access-control-allow-headers": String(headers["access-control-request-headers"] ?? "*"),
			"access-control-max-age": String(MAX_AGE_S),
			vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
		},
	};
}
