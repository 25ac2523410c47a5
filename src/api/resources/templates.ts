/** Templates by id or name. A snapshot is a template too: this is how clients delete one. */
import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import type { Team } from "../../control/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { answers, Nothing, paging } from "../schemas.ts";
import * as schemas from "../template-schemas.ts";
import { template, templateWithBuilds } from "../template-views.ts";

const tags = ["templates"];
const params = Type.Object({ templateID: Type.String() });
const TeamChoice = Type.Object({ teamID: Type.Optional(Type.String()) });
/** The first generation of the list has no pages. */
const V1_PAGE = 100;

export function templateRoutes(app: App, context: ApiContext): void {
	listRoutes(app, context);
	defaultsRoute(app, context);
	templateRoute(app, context);
}

function listRoutes(app: App, { control: { catalog } }: ApiContext): void {
	const response = answers({ 200: Type.Array(schemas.Template) });
	app.get(
		"/v2/templates",
		{
			schema: {
				tags,
				summary: "List templates, page by page, newest first",
				querystring: Type.Object({ ...paging, ...TeamChoice.properties }),
				response,
			},
		},
		async (request, reply) => {
			const team = teamOf(request);
			assertOwnTeam(team, request.query.teamID);
			const page = await catalog.list(team, { limit: request.query.limit, nextToken: request.query.nextToken });
			return announceNext(reply, page.nextToken).send(page.items.map(template));
		},
	);

	app.get(
		"/templates",
		{ schema: { tags, summary: "List templates (first API)", querystring: TeamChoice, response } },
		async (request) => {
			const team = teamOf(request);
			assertOwnTeam(team, request.query.teamID);
			const found = [];
			let nextToken: string | undefined;
			do {
				const page = await catalog.list(team, { limit: V1_PAGE, nextToken });
				found.push(...page.items.map(template));
				nextToken = page.nextToken;
			} while (nextToken !== undefined);
			return found;
		},
	);
}

function defaultsRoute(app: App, { control: { catalog } }: ApiContext): void {
	app.get(
		"/default-templates",
		{
			schema: {
				tags,
				summary: "List the templates that every team has",
				response: answers({ 200: Type.Array(schemas.Template) }),
			},
		},
		async () => (await catalog.defaults()).map(template),
	);
}

function templateRoute(app: App, { control, signal }: ApiContext): void {
	const { catalog } = control;
	app.get(
		"/templates/aliases/:alias",
		{
			schema: {
				tags,
				summary: "Find a template by its name",
				params: Type.Object({ alias: Type.String() }),
				response: answers({ 200: Type.Object({ templateID: Type.String(), public: Type.Boolean() }) }),
			},
		},
		async (request) => {
			const found = await control.templateAlias(teamOf(request), request.params.alias);
			return { templateID: found.templateId, public: found.public };
		},
	);

	app.get(
		"/templates/:templateID",
		{
			schema: {
				tags,
				summary: "Read a template and its builds, newest first",
				params,
				querystring: Type.Object(paging),
				response: answers({ 200: schemas.TemplateWithBuilds }),
			},
		},
		async (request, reply) => {
			const found = await catalog.get(teamOf(request), request.params.templateID, {
				limit: request.query.limit,
				nextToken: request.query.nextToken,
			});
			return announceNext(reply, found.nextToken).send(templateWithBuilds(found.template, found.items));
		},
	);

	for (const url of ["/v2/templates/:templateID", "/templates/:templateID"]) {
		app.patch(
			url,
			{
				schema: {
					tags,
					summary: "Show a template to other teams, or hide it",
					params,
					body: Type.Object({ public: Type.Boolean() }),
					response: answers({ 200: Type.Object({ names: Type.Array(Type.String()) }) }),
				},
			},
			async (request) => {
				const visibility = request.body.public ? "public" : "private";
				return { names: [...(await catalog.setVisibility(teamOf(request), request.params.templateID, visibility))] };
			},
		);
	}

	app.delete(
		"/templates/:templateID",
		{
			schema: {
				tags,
				summary: "Delete a template or snapshot with all its builds",
				params,
				response: answers({ 204: Nothing }),
			},
		},
		async (request, reply) => {
			await control.deleteTemplate(teamOf(request), request.params.templateID, signal);
			return reply.code(204).send(null);
		},
	);
}

function assertOwnTeam(team: Team, teamId: string | undefined): void {
	if (teamId === undefined || teamId === team.id) return;
	throw new OffshootError("forbidden", `teamID '${teamId.slice(0, 80)}' is not the team of the API key, '${team.id}'`);
}

function announceNext(reply: FastifyReply, nextToken: string | undefined): FastifyReply {
	return nextToken === undefined ? reply : reply.header("x-next-token", nextToken);
}
