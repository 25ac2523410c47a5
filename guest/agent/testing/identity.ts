import type { Identity } from "../src/session.ts";

/** Of a daemon that was initialised, for tests of its parts: without a token, and root where a call names nobody. */
export const IDENTITY: Identity = {
	sandboxId: "itestsandbox",
	templateId: "ttesttemplate",
	incarnation: 1,
	generation: 1,
	accessToken: undefined,
	envs: {},
	defaultUser: "root",
	defaultWorkdir: undefined,
};
