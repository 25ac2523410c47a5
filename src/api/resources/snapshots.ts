/** Snapshots of running sandboxes, and forks, which are snapshots that nobody keeps. */
import { Type } from "typebox";
import { parseSandboxId } from "../../protocol/index.ts";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { idempotencyKeyOf } from "../queries.ts";
import { answers, ForkResult, SandboxPath, Seconds, Snapshot, SnapshotsQuery } from "../schemas.ts";
import { forkResult, snapshot } from "../views.ts";

const tags = ["snapshots"];
const params = SandboxPath;

const NewSnapshot = Type.Object({
	name: Type.Optional(Type.String({ description: "[namespace/]alias[:tag]" })),
	memory: Type.Boolean({ default: true, description: "false: capture the files alone; sandboxes made from it start cold" }),
	inheritEnv: Type.Boolean({ default: true, description: "false: sandboxes made from it don't get the source's environment" }),
});

/** The default of 15 s upstream ends forks while their user still works with them. */
const DEFAULT_FORK_TIMEOUT_SECONDS = 300;

const NewForks = Type.Object({
	count: Type.Integer({ default: 1 }),
	timeout: Type.Optional(Seconds({ description: `seconds until the forks end; ${DEFAULT_FORK_TIMEOUT_SECONDS} unless given` })),
});

export function snapshotRoutes(app: App, { control, domain, signal }: ApiContext): void {
	app.post(
		"/sandboxes/:sandboxID/snapshots",
		{
			schema: {
				tags,
				summary: "Capture a sandbox, which goes on running",
				params,
				body: NewSnapshot,
				response: answers({ 201: Snapshot }),
			},
		},
		async (request, reply) => {
			const { name, memory, inheritEnv } = request.body;
			const id = parseSandboxId(request.params.sandboxID);
			const view = await control.createSnapshot(
				teamOf(request),
				id,
				{ name, memory, inheritEnv },
				signal,
				idempotencyKeyOf(request.headers),
			);
			return reply.code(201).send(snapshot(view));
		},
	);

	app.get(
		"/snapshots",
		{
			schema: {
				tags,
				summary: "List snapshots, newest first",
				querystring: SnapshotsQuery,
				response: answers({ 200: Type.Array(Snapshot) }),
			},
		},
		async (request, reply) => {
			const { sandboxID, name, limit, nextToken } = request.query;
			const sandboxId = sandboxID === undefined ? undefined : parseSandboxId(sandboxID);
			const page = await control.listSnapshots(teamOf(request), { sandboxId, name, limit, nextToken });
			if (page.nextToken !== undefined) void reply.header("x-next-token", page.nextToken);
			return reply.send(page.items.map(snapshot));
		},
	);

	app.post(
		"/sandboxes/:sandboxID/fork",
		{
			schema: {
				tags,
				summary: "Start copies of a running sandbox",
				params,
				body: NewForks,
				response: answers({ 201: Type.Array(ForkResult) }),
			},
		},
		async (request, reply) => {
			const { count, timeout = { upTo: DEFAULT_FORK_TIMEOUT_SECONDS } } = request.body;
			const id = parseSandboxId(request.params.sandboxID);
			const results = await control.forkSandbox(teamOf(request), id, count, timeout, signal);
			return reply.code(201).send(results.map((result) => forkResult(result, domain)));
		},
	);
}
