/** Routes that clients know and this version does not serve: a clear word instead of "not found". */
import type { HTTPMethods } from "fastify";
import { type ErrorCode, OffshootError } from "../../protocol/index.ts";
import type { App } from "../app.ts";

const BUILDS = "Building templates over the API is";
const VOLUMES = "Volumes are";
const SECRETS = "Secrets are";

const LATER: readonly (readonly [method: HTTPMethods, url: string, what: string])[] = [
	["POST", "/v3/templates", BUILDS],
	["POST", "/v2/templates", BUILDS],
	["GET", "/templates/:templateID/files/:hash", BUILDS],
	["POST", "/v2/templates/:templateID/builds/:buildID", BUILDS],
	["GET", "/templates/:templateID/builds/:buildID/status", BUILDS],
	["GET", "/templates/:templateID/builds/:buildID/logs", BUILDS],
	["GET", "/volumes", VOLUMES],
	["POST", "/volumes", VOLUMES],
	["GET", "/volumes/:volumeID", VOLUMES],
	["DELETE", "/volumes/:volumeID", VOLUMES],
	["GET", "/volumecontent/:volumeID/path", VOLUMES],
	["PATCH", "/volumecontent/:volumeID/path", VOLUMES],
	["DELETE", "/volumecontent/:volumeID/path", VOLUMES],
	["GET", "/volumecontent/:volumeID/dir", VOLUMES],
	["POST", "/volumecontent/:volumeID/dir", VOLUMES],
	["GET", "/volumecontent/:volumeID/file", VOLUMES],
	["PUT", "/volumecontent/:volumeID/file", VOLUMES],
	["GET", "/secrets", SECRETS],
	["POST", "/secrets", SECRETS],
	["GET", "/secrets/:secret", SECRETS],
	["POST", "/secrets/:secret", SECRETS],
	["DELETE", "/secrets/:secret", SECRETS],
];

const OLD_BUILD = ["invalid_request", "This way of building templates was retired; update your client"] as const;
const USER_TOKEN = ["gone", "There are no access tokens of users; make an API key of the team instead: POST /api-keys"] as const;

/** What no current client asks for: builds of the first generation, tokens of users. */
const RETIRED: readonly (readonly [method: HTTPMethods, url: string, error: readonly [code: ErrorCode, message: string]])[] = [
	["POST", "/templates", OLD_BUILD],
	["POST", "/templates/:templateID", OLD_BUILD],
	["POST", "/templates/:templateID/builds/:buildID", OLD_BUILD],
	["POST", "/access-tokens", USER_TOKEN],
	["DELETE", "/access-tokens/:accessTokenID", USER_TOKEN],
];

export function laterRoutes(app: App): void {
	const schema = { hide: true };
	for (const [method, url, what] of LATER) {
		app.route({
			method,
			url,
			schema,
			handler: async () => {
				throw new OffshootError("not_implemented", `${what} not available in this version of Offshoot`);
			},
		});
	}
	for (const [method, url, error] of RETIRED) {
		app.route({
			method,
			url,
			schema,
			handler: async () => {
				throw new OffshootError(...error);
			},
		});
	}
}
