/** What happens to a sandbox between its creation and its end. */
import { Type } from "typebox";
import { parseSandboxId } from "../../protocol/index.ts";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { answers, Nothing, Sandbox, SandboxPath, Seconds } from "../schemas.ts";
import { assertResumeWithMemory, assertWithMemory } from "../unavailable.ts";
import { sandbox } from "../views.ts";

const tags = ["sandboxes"];
const params = SandboxPath;
const memory = Type.Optional(Type.Boolean());

const ConnectV2 = Type.Object({ timeout: Seconds({ description: "extends the end only", default: 300 }), memory });
const ConnectV1 = Type.Object({ timeout: Seconds({ description: "extends the end only" }), memory });
const Resume = Type.Object({ timeout: Seconds({ description: "seconds until the end", default: 15 }), memory });
const Pause = Type.Object({ memory });
const Timeout = Type.Object({ timeout: Seconds({ description: "seconds from now; may shorten" }) });
const Refresh = Type.Object({
	duration: Seconds({ description: "seconds from now; extends only", default: 15, minimum: 0, maximum: 3600 }),
});

export function lifecycleRoutes(app: App, { control, domain, signal }: ApiContext): void {
	for (const [url, body] of [
		["/v2/sandboxes/:sandboxID/connect", ConnectV2],
		["/sandboxes/:sandboxID/connect", ConnectV1],
	] as const) {
		const summary = "Use a sandbox, resuming it if it is paused";
		const response = answers({ 200: Sandbox, 201: Sandbox });
		app.post(url, { schema: { tags, summary, params, body, response } }, async (request, reply) => {
			assertResumeWithMemory(request.body.memory);
			const id = parseSandboxId(request.params.sandboxID);
			const connected = await control.connectSandbox(teamOf(request), id, request.body.timeout, signal);
			return reply.code(connected.resumed ? 201 : 200).send(sandbox(connected.sandbox, domain));
		});
	}

	app.post(
		"/sandboxes/:sandboxID/resume",
		{ schema: { tags, summary: "Resume a paused sandbox", params, body: Resume, response: answers({ 201: Sandbox }) } },
		async (request, reply) => {
			assertResumeWithMemory(request.body.memory);
			const id = parseSandboxId(request.params.sandboxID);
			const view = await control.resumeSandbox(teamOf(request), id, request.body.timeout, signal);
			return reply.code(201).send(sandbox(view, domain));
		},
	);

	app.post(
		"/sandboxes/:sandboxID/pause",
		{ schema: { tags, summary: "Pause a sandbox, memory included", params, body: Pause, response: answers({ 204: Nothing }) } },
		async (request, reply) => {
			assertWithMemory(request.body.memory);
			await control.pauseSandbox(teamOf(request), parseSandboxId(request.params.sandboxID), signal);
			return reply.code(204).send(null);
		},
	);

	app.post(
		"/sandboxes/:sandboxID/timeout",
		{ schema: { tags, summary: "Set when a sandbox ends", params, body: Timeout, response: answers({ 204: Nothing }) } },
		async (request, reply) => {
			await control.setTimeout(teamOf(request), parseSandboxId(request.params.sandboxID), request.body.timeout);
			return reply.code(204).send(null);
		},
	);

	app.post(
		"/sandboxes/:sandboxID/refreshes",
		{ schema: { tags, summary: "Keep a sandbox alive", params, body: Refresh, response: answers({ 204: Nothing }) } },
		async (request, reply) => {
			await control.refreshSandbox(teamOf(request), parseSandboxId(request.params.sandboxID), request.body.duration);
			return reply.code(204).send(null);
		},
	);
}
