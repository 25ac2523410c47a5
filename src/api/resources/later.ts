/** Routes that clients know and this version does not serve: a clear word instead of "not found". */
import type { HTTPMethods } from "fastify";
import { OffshootError } from "../../protocol/index.ts";
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
	["GET", "/secrets", SECRETS],
	["POST", "/secrets", SECRETS],
	["GET", "/secrets/:secret", SECRETS],
	["POST", "/secrets/:secret", SECRETS],
	["DELETE", "/secrets/:secret", SECRETS],
];

/** Builds of the first generation, which no current client asks for. */
const RETIRED: readonly (readonly [method: HTTPMethods, url: string])[] = [
	["POST", "/templates"],
	["POST", "/templates/:templateID"],
	["POST", "/templates/:templateID/builds/:buildID"],
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
	for (const [method, url] of RETIRED) {
		app.route({
			method,
			url,
			schema,
			handler: async () => {
				throw new OffshootError("invalid_request", "This way of building templates was retired; update your client");
			},
		});
	}
}
