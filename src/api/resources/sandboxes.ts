/** Creating, reading, listing and killing sandboxes. */
import type { FastifyReply } from "fastify";
import { type Static, Type } from "typebox";
import type { CreateSandboxRequest, SandboxState, SandboxView, Team } from "../../control/index.ts";
import { OffshootError, parseSandboxId } from "../../protocol/index.ts";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { networkOf } from "../network.ts";
import { idempotencyKeyOf, listOf, metadataOf, timeOf } from "../queries.ts";
import {
	answers,
	ListedSandbox,
	MetadataQuery,
	NewSandbox,
	Nothing,
	Sandbox,
	SandboxDetail,
	SandboxesQuery,
	SandboxPath,
} from "../schemas.ts";
import { assertAvailable } from "../unavailable.ts";
import { listedSandbox, sandbox, sandboxDetail } from "../views.ts";

const tags = ["sandboxes"];
const DEFAULT_TIMEOUT_SECONDS = 300;
/** The first generation of the API. */
const V1_DEFAULT_TIMEOUT_SECONDS = 15;
const V1_PAGE = 100;

export function sandboxRoutes(app: App, { control, domain, signal }: ApiContext): void {
	const createSchema = { tags, body: NewSandbox, response: answers({ 201: Sandbox }) };

	app.post("/v2/sandboxes", { schema: { ...createSchema, summary: "Create a sandbox" } }, async (request, reply) => {
		const wanted = createRequest(request.body, { timeout: DEFAULT_TIMEOUT_SECONDS, secure: true });
		const view = await control.createSandbox(teamOf(request), wanted, signal, idempotencyKeyOf(request.headers));
		return reply.code(201).send(sandbox(view, domain));
	});

	app.post("/sandboxes", { schema: { ...createSchema, summary: "Create a sandbox (first API)" } }, async (request, reply) => {
		const wanted = createRequest(request.body, { timeout: V1_DEFAULT_TIMEOUT_SECONDS, secure: request.body.secure ?? false });
		const view = await control.createSandbox(teamOf(request), wanted, signal, idempotencyKeyOf(request.headers));
		return reply.code(201).send(sandbox(view, domain));
	});

	const listSchema = { tags, response: answers({ 200: Type.Array(ListedSandbox) }) };

	app.get(
		"/v2/sandboxes",
		{ schema: { ...listSchema, summary: "List sandboxes, page by page", querystring: SandboxesQuery } },
		async (request, reply) => {
			const { metadata, state, startedAfter, template, limit, nextToken, order } = request.query;
			const states = statesOf(state);
			const page = await control.listSandboxes(teamOf(request), {
				states,
				metadata: metadataOf(metadata),
				startedAfter: timeOf(startedAfter, "startedAfter"),
				template,
				limit,
				nextToken,
				order,
			});
			announceTotal(reply, states, page.totalRunning);
			if (page.nextToken !== undefined) void reply.header("x-next-token", page.nextToken);
			return reply.send(page.items.map(listedSandbox));
		},
	);

	app.get(
		"/sandboxes",
		{ schema: { ...listSchema, summary: "List running sandboxes (first API)", querystring: MetadataQuery } },
		async (request) => {
			const views = await allRunning(teamOf(request), metadataOf(request.query.metadata));
			return views.map(listedSandbox);
		},
	);

	app.get(
		"/sandboxes/:sandboxID",
		{ schema: { tags, summary: "Read a sandbox", params: SandboxPath, response: answers({ 200: SandboxDetail }) } },
		async (request) => {
			const view = await control.getSandbox(teamOf(request), parseSandboxId(request.params.sandboxID));
			return sandboxDetail(view, domain);
		},
	);

	app.delete(
		"/sandboxes/:sandboxID",
		{ schema: { tags, summary: "Kill a sandbox", params: SandboxPath, response: answers({ 204: Nothing }) } },
		async (request, reply) => {
			await control.killSandbox(teamOf(request), parseSandboxId(request.params.sandboxID), signal);
			return reply.code(204).send(null);
		},
	);

	async function allRunning(team: Team, metadata: Readonly<Record<string, string>>): Promise<readonly SandboxView[]> {
		const query = {
			states: ["running"],
			metadata,
			limit: V1_PAGE,
			order: "desc",
			startedAfter: undefined,
			template: undefined,
		} as const;
		const views: SandboxView[] = [];
		let nextToken: string | undefined;
		do {
			const page = await control.listSandboxes(team, { ...query, nextToken });
			views.push(...page.items);
			nextToken = page.nextToken;
		} while (nextToken !== undefined);
		return views;
	}
}

/** @param generation what the generation of the API fills in */
function createRequest(
	body: Static<typeof NewSandbox>,
	generation: { readonly timeout: number; readonly secure: boolean },
): CreateSandboxRequest {
	assertAvailable(body);
	assertAutoPause(body);
	return {
		templateRef: body.templateID,
		timeout: body.timeout ?? { upTo: generation.timeout },
		autoPause: body.autoPause ?? false,
		autoPauseMemory: body.autoPauseMemory ?? true,
		autoResume: body.autoResume?.enabled ?? false,
		secure: generation.secure,
		allowInternetAccess: body.allow_internet_access,
		network: body.network === undefined ? undefined : networkOf(body.network),
		metadata: body.metadata ?? {},
		envs: body.envVars ?? {},
	};
}

/** What was paused without memory can't be woken by traffic. @throws OffshootError invalid_request */
function assertAutoPause({ autoPause, autoPauseMemory, autoResume }: Static<typeof NewSandbox>): void {
	if (autoPauseMemory !== false) return;
	if (autoPause !== true) throw new OffshootError("invalid_request", "autoPauseMemory: false needs autoPause: true");
	if (autoResume?.enabled === true) {
		throw new OffshootError("invalid_request", "autoPauseMemory: false can't be combined with autoResume");
	}
}

function statesOf(value: string | string[] | undefined): readonly SandboxState[] {
	const states = [...new Set(listOf(value))];
	if (states.length === 0) return ["running", "paused"];
	return states.map((state) => {
		if (state === "running" || state === "paused") return state;
		throw new OffshootError("invalid_request", `validation error: state must be running or paused, not '${state.slice(0, 50)}'`);
	});
}

function announceTotal(reply: FastifyReply, states: readonly SandboxState[], totalRunning: number): void {
	if (states.includes("running")) void reply.header("x-total-running", totalRunning);
}
