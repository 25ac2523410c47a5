/** What sandboxes use, and how many a team has. */
import { type Static, Type } from "typebox";
import type { SandboxSample, Team, TeamSample, Window } from "../../control/index.ts";
import { OffshootError, parseSandboxId } from "../../protocol/index.ts";
import { type ApiContext, type App, teamOf } from "../app.ts";
import { listOf } from "../queries.ts";
import { answers, SandboxPath } from "../schemas.ts";

const tags = ["metrics"];
const MAX_SANDBOXES = 100;

const UnixSeconds = Type.Integer({ minimum: 0, maximum: 2 ** 40, description: "s since the epoch" });
const WindowQuery = Type.Object({ start: Type.Optional(UnixSeconds), end: Type.Optional(UnixSeconds) });
const TeamPath = Type.Object({ teamID: Type.String() });

const Moment = { timestamp: Type.String({ format: "date-time" }), timestampUnix: Type.Integer() };
const Bytes = Type.Integer({ description: "bytes" });
const SandboxMetric = Type.Object({
	...Moment,
	cpuCount: Type.Integer(),
	cpuUsedPct: Type.Number({ description: "of one processor" }),
	memUsed: Bytes,
	memTotal: Bytes,
	memCache: Bytes,
	diskUsed: Bytes,
	diskTotal: Bytes,
});
const TeamMetric = Type.Object({ ...Moment, concurrentSandboxes: Type.Integer(), sandboxStartRate: Type.Number() });
const Peak = Type.Object({ ...Moment, value: Type.Number() });

export function metricRoutes(app: App, { control: { metrics } }: ApiContext): void {
	app.get(
		"/sandboxes/metrics",
		{
			schema: {
				tags,
				summary: "The newest measure of several sandboxes",
				querystring: Type.Object({ sandbox_ids: Type.Union([Type.String(), Type.Array(Type.String())]) }),
				response: answers({ 200: Type.Object({ sandboxes: Type.Record(Type.String(), SandboxMetric) }) }),
			},
		},
		async (request) => {
			const ids = (listOf(request.query.sandbox_ids) ?? []).map(parseSandboxId);
			if (ids.length > MAX_SANDBOXES)
				throw new OffshootError("invalid_request", `sandbox_ids may name ${MAX_SANDBOXES} sandboxes at most`);
			const newest = metrics.newest(teamOf(request), ids);
			return { sandboxes: Object.fromEntries([...newest].map(([id, sample]) => [id, sandboxMetric(sample)])) };
		},
	);

	app.get(
		"/sandboxes/:sandboxID/metrics",
		{
			schema: {
				tags,
				summary: "Measures of a sandbox, oldest first",
				params: SandboxPath,
				querystring: WindowQuery,
				response: answers({ 200: Type.Array(SandboxMetric) }),
			},
		},
		async (request) => {
			const id = parseSandboxId(request.params.sandboxID);
			return metrics.ofSandbox(teamOf(request), id, windowOf(request.query)).map(sandboxMetric);
		},
	);

	app.get(
		"/teams/:teamID/metrics",
		{
			schema: {
				tags,
				summary: "Measures of the team, oldest first",
				params: TeamPath,
				querystring: WindowQuery,
				response: answers({ 200: Type.Array(TeamMetric) }),
			},
		},
		async (request) => {
			const team = ownTeam(teamOf(request), request.params.teamID);
			return metrics.ofTeam(team, windowOf(request.query)).map((sample) => ({
				...moment(sample.at),
				concurrentSandboxes: sample.concurrentSandboxes,
				sandboxStartRate: sample.startRate,
			}));
		},
	);

	app.get(
		"/teams/:teamID/metrics/max",
		{
			schema: {
				tags,
				summary: "The largest measure of the team",
				params: TeamPath,
				querystring: Type.Object({
					...WindowQuery.properties,
					metric: Type.Union([Type.Literal("concurrent_sandboxes"), Type.Literal("sandbox_start_rate")]),
				}),
				response: answers({ 200: Peak }),
			},
		},
		async (request) => {
			const team = ownTeam(teamOf(request), request.params.teamID);
			const value = VALUES[request.query.metric];
			let peak = { at: Date.now(), value: 0 };
			for (const sample of metrics.ofTeam(team, windowOf(request.query))) {
				if (value(sample) > peak.value) peak = { at: sample.at, value: value(sample) };
			}
			return { ...moment(peak.at), value: peak.value };
		},
	);
}

const VALUES: Readonly<Record<"concurrent_sandboxes" | "sandbox_start_rate", (sample: TeamSample) => number>> = {
	concurrent_sandboxes: (sample) => sample.concurrentSandboxes,
	sandbox_start_rate: (sample) => sample.startRate,
};

/** Another team looks like one that does not exist. */
function ownTeam(team: Team, teamId: string): Team {
	if (teamId === team.id) return team;
	throw new OffshootError("not_found", `team '${teamId.slice(0, 80)}' doesn't exist or you don't have access to it`);
}

/** The end's second belongs to the window. */
function windowOf({ start, end }: Static<typeof WindowQuery>): Window {
	return { start: start && start * 1000, end: end === undefined ? undefined : end * 1000 + 999 };
}

function moment(at: number) {
	return { timestamp: new Date(at).toISOString(), timestampUnix: Math.floor(at / 1000) };
}

function sandboxMetric({ at, ...values }: SandboxSample): Static<typeof SandboxMetric> {
	return { ...moment(at), ...values };
}
