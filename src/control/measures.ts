/** What of the measures outlives the server: one in a minute of each sandbox and team, for some hours. */
import type { Fleet, Measure } from "../fleet/index.ts";
import type { SandboxSample, TeamSample, Window } from "./metrics.ts";

export const SAVE_EVERY_MS = 60_000;
const KEEP_MS = 3 * 3600 * 1000;

type Kept = Fleet["measures"];
type Held<T> = Iterable<readonly [id: string, { within(window: Window): readonly T[] }]>;

export interface HeldMeasures {
	readonly sandboxes: Held<SandboxSample>;
	readonly teams: Held<TeamSample>;
}

/**
 * Saves the newest sample of each sandbox, and for each team the larger of its figures, of those after `since`.
 * @param larger of two samples
 */
export async function saveMeasures(
	kept: Kept,
	held: HeldMeasures,
	since: number,
	larger: (older: TeamSample, newer: TeamSample) => TeamSample,
): Promise<void> {
	const window = { start: since + 1, end: undefined };
	const measures: Measure[] = [];
	for (const [subjectId, series] of held.sandboxes) {
		const newest = series.within(window).at(-1);
		if (newest !== undefined) measures.push({ kind: "sandbox", subjectId, ...apart(newest) });
	}
	for (const [subjectId, series] of held.teams) {
		const samples = series.within(window);
		if (samples.length > 0) measures.push({ kind: "team", subjectId, ...apart(samples.reduce(larger)) });
	}
	await kept.add(measures);
	await kept.prune(since - KEEP_MS);
}

function apart({ at, ...values }: SandboxSample | TeamSample): Pick<Measure, "atMs" | "sample"> {
	return { atMs: at, sample: { ...values } };
}

export interface LoadedMeasures {
	sandbox(id: string, sample: SandboxSample): void;
	team(id: string, sample: TeamSample): void;
}

/** Tells what was saved, in order of time. What an older version saved with other figures is left out. */
export async function loadMeasures(kept: Kept, into: LoadedMeasures): Promise<void> {
	for (const { kind, subjectId, atMs, sample } of await kept.living()) {
		if (kind === "sandbox") {
			const { cpuCount, cpuUsedPct, memTotal, memUsed, memCache, diskUsed, diskTotal } = sample;
			const figures = { cpuCount, cpuUsedPct, memTotal, memUsed, memCache, diskUsed, diskTotal };
			if (isWhole(figures)) into.sandbox(subjectId, { at: atMs, ...figures });
		} else {
			const { concurrentSandboxes, startRate } = sample;
			const figures = { concurrentSandboxes, startRate };
			if (isWhole(figures)) into.team(subjectId, { at: atMs, ...figures });
		}
	}
}

function isWhole<T extends Readonly<Record<string, number | undefined>>>(figures: T): figures is T & Record<keyof T, number> {
	return Object.values(figures).every((figure) => figure !== undefined);
}
