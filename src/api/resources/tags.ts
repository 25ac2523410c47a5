/** Tags of templates and snapshots: which there are, where they point, and where they have pointed. */
import { type Static, Type } from "typebox";
import { type Catalog, TAG_SORTS } from "../../control/index.ts";
import { parseTag } from "../../protocol/index.ts";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { answers, MAX_ENTRIES, Nothing } from "../schemas.ts";
import * as schemas from "../template-schemas.ts";

const tags = ["templates"];
const params = Type.Object({ templateID: Type.String() });

const Tags = Type.Array(Type.String(), { maxItems: MAX_ENTRIES });
const Limit = (otherwise: number) => Type.Integer({ minimum: 1, maximum: 100, default: otherwise });
const NextCursor = Type.Union([Type.String(), Type.Null()]);

const GroupsQuery = Type.Object({
	assignmentLimit: Limit(6),
	tagsLimit: Limit(25),
	tagsCursor: Type.Optional(Type.String()),
	search: Type.Optional(Type.String({ description: "part of the tag's name" })),
	sort: Type.Enum([...TAG_SORTS], { default: "latest_desc" }),
});

export function tagRoutes(app: App, context: ApiContext): void {
	currentRoutes(app, context);
	changeRoutes(app, context);
	historyRoutes(app, context);
}

function currentRoutes(app: App, { control: { catalog } }: ApiContext): void {
	app.get(
		"/templates/:templateID/tags",
		{ schema: { tags, summary: "List a template's tags", params, response: answers({ 200: Type.Array(schemas.Tag) }) } },
		async (request) => {
			const found = await catalog.tags(teamOf(request), request.params.templateID);
			return found.map(({ tag, buildId, createdAt }) => ({ tag, buildID: buildId, createdAt: createdAt.toISOString() }));
		},
	);

	app.get(
		"/templates/:templateID/tags/count",
		{
			schema: {
				tags,
				summary: "Count a template's tags",
				params,
				response: answers({ 200: Type.Object({ total: Type.Integer() }) }),
			},
		},
		async (request) => ({ total: (await catalog.tags(teamOf(request), request.params.templateID)).length }),
	);

	app.get(
		"/templates/:templateID/tags/exists",
		{
			schema: {
				tags,
				summary: "Whether a template has a tag",
				params,
				querystring: Type.Object({ tag: Type.String() }),
				response: answers({ 200: Type.Object({ exists: Type.Boolean(), normalizedTag: Type.String() }) }),
			},
		},
		async (request) => {
			const normalizedTag = parseTag(request.query.tag, "tag");
			const found = await catalog.tags(teamOf(request), request.params.templateID);
			return { exists: found.some(({ tag }) => tag === normalizedTag), normalizedTag };
		},
	);
}

function changeRoutes(app: App, { control: { catalog } }: ApiContext): void {
	app.post(
		"/templates/tags",
		{
			schema: {
				tags,
				summary: "Point tags at a build",
				body: Type.Object({ target: Type.String({ description: "name:tag" }), tags: Tags }),
				response: answers({ 201: Type.Object({ buildID: Type.String(), tags: Type.Array(Type.String()) }) }),
			},
		},
		async (request, reply) => {
			const changed = await catalog.addTags(teamOf(request), request.body.target, request.body.tags);
			return reply.code(201).send({ buildID: changed.buildId, tags: [...changed.tags] });
		},
	);

	app.delete(
		"/templates/tags",
		{
			schema: {
				tags,
				summary: "Remove tags",
				body: Type.Object({ name: Type.String(), tags: Tags }),
				response: answers({ 204: Nothing }),
			},
		},
		async (request, reply) => {
			await catalog.removeTags(teamOf(request), request.body.name, request.body.tags);
			return reply.code(204).send(null);
		},
	);
}

function historyRoutes(app: App, { control: { catalog } }: ApiContext): void {
	app.get(
		"/templates/:templateID/tags/groups",
		{
			schema: {
				tags,
				summary: "List tags with the builds that they pointed at last",
				params,
				querystring: GroupsQuery,
				response: answers({ 200: Type.Object({ tags: Type.Array(schemas.TagGroup), nextCursor: NextCursor }) }),
			},
		},
		async (request) => {
			const { assignmentLimit, tagsLimit, tagsCursor, search, sort } = request.query;
			const query = { assignmentLimit, limit: tagsLimit, nextToken: tagsCursor, search, sort };
			const page = await catalog.tagGroups(teamOf(request), request.params.templateID, query);
			const groups = page.items.map((group) => ({ ...group, assignments: group.assignments.map(assignment) }));
			return { tags: groups, nextCursor: page.nextToken ?? null };
		},
	);

	app.get(
		"/templates/:templateID/tags/:tag/assignments",
		{
			schema: {
				tags,
				summary: "List the builds that a tag has pointed at, newest first",
				params: Type.Object({ ...params.properties, tag: Type.String() }),
				querystring: Type.Object({ limit: Limit(50), cursor: Type.Optional(Type.String()) }),
				response: answers({ 200: Type.Object({ data: Type.Array(schemas.TagAssignment), nextCursor: NextCursor }) }),
			},
		},
		async (request) => {
			const { templateID, tag } = request.params;
			const page = { limit: request.query.limit, nextToken: request.query.cursor };
			const found = await catalog.tagAssignments(teamOf(request), templateID, tag, page);
			return { data: found.items.map(assignment), nextCursor: found.nextToken ?? null };
		},
	);
}

type Assignment = Awaited<ReturnType<Catalog["tagAssignments"]>>["items"][number];

/** A build is recorded when it has finished. */
function assignment({ id, buildId, assignedAt, buildCreatedAt }: Assignment): Static<typeof schemas.TagAssignment> {
	const createdAt = buildCreatedAt.toISOString();
	return {
		assignmentId: id,
		buildId,
		assignedAt: assignedAt.toISOString(),
		buildCreatedAt: createdAt,
		buildFinishedAt: createdAt,
	};
}
