/** Logs of a sandbox: what happened to it, and what its own processes print where no client listens. */
import { Type } from "typebox";
import { parseSandboxId } from "../../protocol/index.ts";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { answers, SandboxPath } from "../schemas.ts";

const tags = ["logs"];
const MAX_LIMIT = 1_000;

const Milliseconds = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: "ms since the epoch" });
const Limit = Type.Integer({ minimum: 1, maximum: MAX_LIMIT, default: MAX_LIMIT });
const Level = Type.Union([Type.Literal("debug"), Type.Literal("info"), Type.Literal("warn"), Type.Literal("error")]);
const Time = Type.String({ format: "date-time" });
const Entry = Type.Object({
	timestamp: Time,
	level: Level,
	message: Type.String(),
	fields: Type.Record(Type.String(), Type.String()),
});
const Line = Type.Object({ timestamp: Time, line: Type.String({ description: "JSON text with level, logger and message" }) });

export function logRoutes(app: App, { control: { logs } }: ApiContext): void {
	app.get(
		"/sandboxes/:sandboxID/logs",
		{
			schema: {
				tags,
				summary: "Logs of a sandbox, oldest first (first API)",
				params: SandboxPath,
				querystring: Type.Object({ start: Type.Optional(Milliseconds), limit: Limit }),
				response: answers({ 200: Type.Object({ logs: Type.Array(Line), logEntries: Type.Array(Entry) }) }),
			},
		},
		async (request) => {
			const { start, limit } = request.query;
			const entries = await logs.read(teamOf(request), parseSandboxId(request.params.sandboxID), {
				limit,
				direction: "forward",
				cursor: start,
				level: "debug",
				search: undefined,
			});
			return { logs: entries.map(line), logEntries: entries.map(entry) };
		},
	);

	app.get(
		"/v2/sandboxes/:sandboxID/logs",
		{
			schema: {
				tags,
				summary: "Logs of a sandbox",
				params: SandboxPath,
				querystring: Type.Object({
					cursor: Type.Optional(Milliseconds),
					limit: Limit,
					direction: Type.Union([Type.Literal("forward"), Type.Literal("backward")], { default: "backward" }),
					level: Type.Union(Level.anyOf, { default: "debug", description: "the least serious to show" }),
					search: Type.Optional(Type.String({ description: "text that the message contains, to the letter" })),
				}),
				response: answers({ 200: Type.Object({ logs: Type.Array(Entry) }) }),
			},
		},
		async (request) => {
			const { cursor, limit, direction, level, search } = request.query;
			const id = parseSandboxId(request.params.sandboxID);
			const entries = await logs.read(teamOf(request), id, { cursor, limit, direction, level, search });
			return { logs: entries.map(entry) };
		},
	);
}

interface LogEntry {
	readonly atMs: number;
	readonly level: "debug" | "info" | "warn" | "error";
	readonly logger: string;
	readonly message: string;
}

function entry({ atMs, level, logger, message }: LogEntry) {
	return { timestamp: new Date(atMs).toISOString(), level, message, fields: { logger } };
}

/** The E2B command line parses every line as JSON, and shows what it finds in it. */
function line({ atMs, level, logger, message }: LogEntry) {
	return { timestamp: new Date(atMs).toISOString(), line: JSON.stringify({ level, logger, message }) };
}
