/** A team and its API keys. Clients of the first generation ask for these as a user; here the team's own key opens them. */
import { Type } from "typebox";
import type { Control } from "../../control/index.ts";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { apiKeyOf, isOperator } from "../auth.ts";
import { answers, Nothing } from "../schemas.ts";

const tags = ["keys"];
export const KeyName = Type.Object({ name: Type.String() });
const KeyPath = Type.Object({ keyID: Type.String() });

const KeyFields = {
	id: Type.String(),
	name: Type.String(),
	mask: Type.Object({
		prefix: Type.String(),
		valueLength: Type.Integer(),
		maskedValuePrefix: Type.String(),
		maskedValueSuffix: Type.String(),
	}),
	createdAt: Type.String(),
	createdBy: Type.Null(),
	firstUsed: Type.Union([Type.String(), Type.Null()]),
	lastUsed: Type.Union([Type.String(), Type.Null()]),
};
const Key = Type.Object(KeyFields);
export const NewKey = Type.Object({ ...KeyFields, key: Type.String({ description: "shown this once" }) });
const TeamAnswer = Type.Object({ teamID: Type.String(), name: Type.String(), apiKey: Type.String(), isDefault: Type.Boolean() });

export function keyRoutes(app: App, { control }: ApiContext): void {
	const { accounts } = control;

	app.get(
		"/teams",
		{ schema: { tags, summary: "The team of the key", response: answers({ 200: Type.Array(TeamAnswer) }) } },
		async (request) => {
			const team = await accounts.team(teamOf(request));
			return [{ teamID: team.id, name: team.name, apiKey: isOperator(request) ? "" : apiKeyOf(request), isDefault: true }];
		},
	);

	app.get(
		"/api-keys",
		{ schema: { tags, summary: "List the team's API keys", response: answers({ 200: Type.Array(Key) }) } },
		async (request) => (await accounts.listKeys(teamOf(request))).map(keyView),
	);

	app.post(
		"/api-keys",
		{ schema: { tags, summary: "Make an API key", body: KeyName, response: answers({ 201: NewKey }) } },
		async (request, reply) => {
			const { key, ...record } = await accounts.createKey(teamOf(request), request.body.name);
			return reply.code(201).send({ ...keyView(record), key });
		},
	);

	app.patch(
		"/api-keys/:keyID",
		{ schema: { tags, summary: "Rename an API key", params: KeyPath, body: KeyName, response: answers({ 200: Key }) } },
		async (request) => keyView(await accounts.renameKey(teamOf(request), request.params.keyID, request.body.name)),
	);

	app.delete(
		"/api-keys/:keyID",
		{ schema: { tags, summary: "Revoke an API key", params: KeyPath, response: answers({ 204: Nothing }) } },
		async (request, reply) => {
			await accounts.revokeKey(teamOf(request), request.params.keyID);
			return reply.code(204).send(null);
		},
	);
}

type KeyRecord = Awaited<ReturnType<Control["accounts"]["listKeys"]>>[number];

export function keyView(key: KeyRecord) {
	return {
		id: key.id,
		name: key.name,
		mask: { ...key.mask },
		createdAt: key.createdAt.toISOString(),
		createdBy: null,
		firstUsed: key.firstUsedAt?.toISOString() ?? null,
		lastUsed: key.lastUsedAt?.toISOString() ?? null,
	};
}
