/**
 * What a browser asks before a page may send a request to a guest's agent. The agent answers, and the edge in its place
 * while the sandbox sleeps, in the same words. Source: E2B wire protocol.
 */

const METHODS = "HEAD, GET, POST, PUT, PATCH, DELETE";
const MAX_AGE_S = 7200;

export interface PreflightRequest {
	readonly method?: string | undefined;
	readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** Also without an `Origin`, which all browsers send. */
export function isPreflight({ method, headers }: PreflightRequest): boolean {
	return method === "OPTIONS" && headers["access-control-request-method"] !== undefined;
}

/** Of the answer, which is a 204. */
export function preflightHeaders({ headers }: PreflightRequest): Record<string, string> {
	return {
		"access-control-allow-methods": METHODS,
		"access-control-allow-headers": String(headers["access-control-request-headers"] ?? "*"),
		"access-control-max-age": String(MAX_AGE_S),
		vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
	};
}
