/** Templates by id or name. A snapshot is a template too: this is how clients delete one. */
import { Type } from "typebox";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { answers, Nothing } from "../schemas.ts";

const tags = ["templates"];

export function templateRoutes(app: App, { control, signal }: ApiContext): void {
	const aliasAnswer = answers({ 200: Type.Object({ templateID: Type.String(), public: Type.Boolean() }) });
	app.get(
		"/templates/aliases/:alias",
		{
			schema: {
				tags,
				summary: "Find a template by its name",
				params: Type.Object({ alias: Type.String() }),
				response: aliasAnswer,
			},
		},
		async (request) => {
			const found = await control.templateAlias(teamOf(request), request.params.alias);
			return { templateID: found.templateId, public: found.public };
		},
	);

	app.delete(
		"/templates/:templateID",
		{
			schema: {
				tags,
				summary: "Delete a template or snapshot with all its builds",
				params: Type.Object({ templateID: Type.String() }),
				response: answers({ 204: Nothing }),
			},
		},
		async (request, reply) => {
			await control.deleteTemplate(teamOf(request), request.params.templateID, signal);
			return reply.code(204).send(null);
		},
	);
}
