/** What happens to a sandbox between its creation and its end. */
import { Type } from "typebox";
import { parseSandboxId } from "../../protocol/index.ts";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { answers, Nothing, Sandbox, SandboxPath, Seconds } from "../schemas.ts";
import { sandbox } from "../views.ts";

const tags = ["sandboxes"];
const params = SandboxPath;
const cold = Type.Boolean({ default: true, description: "false: start anew from the files; memory that was kept is ignored" });

/** For who names no time: more than some teams may have. */
const CONNECT_SECONDS = 300;
const RESUME_SECONDS = 15;
const ConnectV2 = Type.Object({
	timeout: Type.Optional(Seconds({ description: `extends the end only; ${CONNECT_SECONDS} unless given` })),
	memory: cold,
});
const ConnectV1 = Type.Object({ timeout: Seconds({ description: "extends the end only" }), memory: cold });
const Resume = Type.Object({
	timeout: Type.Optional(Seconds({ description: `seconds until the end; ${RESUME_SECONDS} unless given` })),
	autoPause: Type.Optional(Type.Boolean({ description: "pause, or kill, at the end from now on; as before unless given" })),
	memory: cold,
});
const Pause = Type.Object({
	memory: Type.Boolean({ default: true, description: "false: keep the files alone" }),
	requireHealthyGuest: Type.Boolean({ default: false, description: "true: refuse when the guest's agent does not answer" }),
});
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
			const id = parseSandboxId(request.params.sandboxID);
			const { timeout = { upTo: CONNECT_SECONDS }, memory } = request.body;
			const connected = await control.connectSandbox(teamOf(request), id, { timeout, memory }, signal);
			return reply.code(connected.resumed ? 201 : 200).send(sandbox(connected.sandbox, domain));
		});
	}

	app.post(
		"/sandboxes/:sandboxID/resume",
		{ schema: { tags, summary: "Resume a paused sandbox", params, body: Resume, response: answers({ 201: Sandbox }) } },
		async (request, reply) => {
			const id = parseSandboxId(request.params.sandboxID);
			const { timeout = { upTo: RESUME_SECONDS }, memory, autoPause } = request.body;
			const view = await control.resumeSandbox(teamOf(request), id, { timeout, memory, autoPause }, signal);
			return reply.code(201).send(sandbox(view, domain));
		},
	);

	app.post(
		"/sandboxes/:sandboxID/pause",
		{ schema: { tags, summary: "Pause a sandbox", params, body: Pause, response: answers({ 204: Nothing }) } },
		async (request, reply) => {
			const { memory, requireHealthyGuest } = request.body;
			const id = parseSandboxId(request.params.sandboxID);
			await control.pauseSandbox(teamOf(request), id, { memory, requireHealthyGuest }, signal);
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
