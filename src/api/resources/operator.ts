/** What only the operator may do, by the admin token: nothing here looks at API keys. */
import { Type } from "typebox";
import type { TeamRecord } from "../../fleet/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import type { ApiContext, App } from "../app.ts";
import { operatorOnly } from "../auth.ts";
import { answers, Nothing } from "../schemas.ts";
import { KeyName, keyView, NewKey } from "./keys.ts";
import { nodeRoutes } from "./nodes.ts";

const tags = ["operator"];
const Limit = Type.Union([Type.Integer(), Type.Null()]);
const Limits = {
	maxSandboxes: { ...Limit, description: "sandboxes that may run at a time; null: as the server says" },
	maxTimeoutSeconds: { ...Limit, description: "longest time from a sandbox's start to its end; null: as the server says" },
};
const Team = Type.Object({
	teamID: Type.String(),
	slug: Type.String(),
	name: Type.String(),
	createdAt: Type.String(),
	...Limits,
});

const TeamPath = Type.Object({ teamID: Type.String() });

export function operatorRoutes(app: App, context: ApiContext & { readonly version: string }): void {
	app.addHook("onRequest", operatorOnly(context.adminToken));
	teamRoutes(app, context);
	teamKeyRoutes(app, context);
	nodeRoutes(app, context);
}

function teamRoutes(app: App, { control: { accounts } }: ApiContext): void {
	app.get("/admin/teams", { schema: { tags, summary: "List teams", response: answers({ 200: Type.Array(Team) }) } }, async () =>
		(await accounts.listTeams()).map(teamView),
	);

	app.post(
		"/admin/teams",
		{
			schema: {
				tags,
				summary: "Make a team and its first API key",
				body: Type.Object({ slug: Type.String(), name: Type.Optional(Type.String()) }),
				response: answers({ 201: Type.Object({ ...Team.properties, apiKey: Type.String({ description: "shown this once" }) }) }),
			},
		},
		async (request, reply) => {
			const team = await accounts.createTeam(request.body.slug, request.body.name);
			const { key } = await accounts.createKey(team, "first");
			return reply.code(201).send({ ...teamView(team), apiKey: key });
		},
	);

	app.patch(
		"/admin/teams/:teamID",
		{
			config: { nullIsValue: true },
			schema: {
				tags,
				summary: "Change a team's limits; what is left out stays",
				params: TeamPath,
				body: Type.Partial(Type.Object(Limits)),
				response: answers({ 200: Team }),
			},
		},
		async (request) => teamView(await accounts.setTeamLimits(request.params.teamID, request.body)),
	);

	app.post("/admin/teams/:teamID/builds/cancel", { schema: { hide: true } }, async () => {
		throw new OffshootError("not_implemented", "Building templates over the API is not available in this version of Offshoot");
	});

	app.post(
		"/admin/teams/:teamID/sandboxes/kill",
		{
			schema: {
				tags,
				summary: "Kill all sandboxes of a team",
				params: TeamPath,
				response: answers({ 200: Type.Object({ killedCount: Type.Integer(), failedCount: Type.Integer() }) }),
			},
		},
		async (request) => ({ killedCount: await accounts.killAll(request.params.teamID), failedCount: 0 }),
	);
}

function teamKeyRoutes(app: App, { control: { accounts } }: ApiContext): void {
	app.post(
		"/admin/teams/:teamID/api-keys",
		{
			schema: {
				tags,
				summary: "Make an API key for a team",
				params: TeamPath,
				body: KeyName,
				response: answers({ 201: NewKey }),
			},
		},
		async (request, reply) => {
			const team = await accounts.teamById(request.params.teamID);
			const { key, ...record } = await accounts.createKey(team, request.body.name);
			return reply.code(201).send({ ...keyView(record), key });
		},
	);

	app.delete(
		"/admin/teams/:teamID/api-keys/:keyID",
		{
			schema: {
				tags,
				summary: "Revoke an API key of a team",
				params: Type.Object({ ...TeamPath.properties, keyID: Type.String() }),
				response: answers({ 204: Nothing }),
			},
		},
		async (request, reply) => {
			await accounts.revokeKey(await accounts.teamById(request.params.teamID), request.params.keyID);
			return reply.code(204).send(null);
		},
	);
}

function teamView({ id, slug, name, createdAt, limits }: TeamRecord) {
	const { maxSandboxes = null, maxTimeoutSeconds = null } = limits;
	return { teamID: id, slug, name, createdAt: createdAt.toISOString(), maxSandboxes, maxTimeoutSeconds };
}
