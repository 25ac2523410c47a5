/**
 * Measures: every running sandbox and every team is looked at every few seconds. They are held in memory, bounded: the
 * older a measure, the fewer of its neighbours are kept. A few of them outlive the server. They end with their sandbox.
 */
import type { SandboxRecord } from "../fleet/index.ts";
import type { GuestMetrics } from "../node/index.ts";
import type { Core } from "./core.ts";
import { loadMeasures, SAVE_EVERY_MS, saveMeasures } from "./measures.ts";
import type { Team } from "./types.ts";

export interface SandboxSample extends GuestMetrics {
	/** ms since the epoch */
	readonly at: number;
}

export interface TeamSample {
	/** ms since the epoch */
	readonly at: number;
	readonly concurrentSandboxes: number;
	/** Sandboxes started per second. */
	readonly startRate: number;
}

/** Both ends belong to it; ms since the epoch. */
export interface Window {
	readonly start: number | undefined;
	readonly end: number | undefined;
}

export interface Metrics {
	/** Oldest first. @throws OffshootError not_found */
	ofSandbox(team: Team, sandboxId: string, window: Window): readonly SandboxSample[];
	/** The newest sample of each sandbox that is the team's and has one. */
	newest(team: Team, sandboxIds: readonly string[]): ReadonlyMap<string, SandboxSample>;
	/** Oldest first. */
	ofTeam(team: Team, window: Window): readonly TeamSample[];
}

const EVERY_MS = 5_000;
/** A guest that does not answer in time is left out. */
const ANSWER_TIMEOUT_MS = 3_000;
/** Guests asked at a time. */
const AT_ONCE = 8;
/** Samples held of one sandbox or team: the newest third of them in full. */
const MAX_SAMPLES = 540;

/** Samples in order of time. When there are too many, each two neighbours of the older part become one. */
export class Series<T extends { readonly at: number }> {
	#samples: T[] = [];
	readonly #merge: (older: T, newer: T) => T;

	constructor(merge: (older: T, newer: T) => T) {
		this.#merge = merge;
	}

	add(sample: T): void {
		this.#samples.push(sample);
		if (this.#samples.length <= MAX_SAMPLES) return;
		const old = this.#samples.splice(0, Math.floor(MAX_SAMPLES / 3) * 2);
		const thinned = old.flatMap((sample, index) => {
			const next = old[index + 1];
			return index % 2 === 1 || next === undefined ? [] : [this.#merge(sample, next)];
		});
		this.#samples = [...thinned, ...this.#samples];
	}

	within({ start = 0, end = Number.POSITIVE_INFINITY }: Window): readonly T[] {
		return this.#samples.filter(({ at }) => at >= start && at <= end);
	}

	newest(): T | undefined {
		return this.#samples.at(-1);
	}
}

export class Sampler implements Metrics {
	readonly #core: Core;
	readonly #sandboxes = new Map<string, Series<SandboxSample>>();
	readonly #teams = new Map<string, Series<TeamSample>>();
	/** Sandboxes started since the last sample, by team. */
	readonly #starts = new Map<string, number>();
	#cancel: (() => void) | undefined;
	#round: Promise<void> | undefined;
	#lastAt: number;
	#savedAt: number;

	constructor(core: Core) {
		this.#core = core;
		this.#lastAt = core.clock.now();
		this.#savedAt = this.#lastAt;
	}

	/** Reads what an earlier server saved; once, before the first sample. Never rejects: a server starts without it. */
	async load(): Promise<void> {
		const { fleet, ledger, log } = this.#core;
		const into = {
			sandbox: (id: string, sample: SandboxSample) => ledger.get(id) && this.#seriesOf(id).add(sample),
			team: (id: string, sample: TeamSample) => this.#teamSeries(id).add(sample),
		};
		await loadMeasures(fleet.measures, into).catch((error) => log.error({ err: error }, "saved measures could not be read"));
	}

	/** Saves what came since the last time. */
	async save(): Promise<void> {
		const since = this.#savedAt;
		this.#savedAt = this.#core.clock.now();
		await saveMeasures(this.#core.fleet.measures, { sandboxes: this.#sandboxes, teams: this.#teams }, since, larger);
	}

	start(): void {
		this.#cancel = this.#core.clock.schedule(EVERY_MS, () => {
			this.start();
			// Guests that keep us waiting must not be asked again meanwhile.
			this.#round ??= this.#sample().finally(() => {
				this.#round = undefined;
			});
			this.#core.chores.inBackground(this.#round);
		});
	}

	/** Ends sampling, and saves. Never rejects. */
	async stop(): Promise<void> {
		this.#cancel?.();
		await this.#round?.catch(() => {});
		await this.#saveOrSay();
	}

	noteStart({ teamId }: SandboxRecord): void {
		this.#starts.set(teamId, (this.#starts.get(teamId) ?? 0) + 1);
	}

	ofSandbox(team: Team, sandboxId: string, window: Window): readonly SandboxSample[] {
		const { id } = this.#core.ledger.owned(team, sandboxId);
		return this.#sandboxes.get(id)?.within(window) ?? [];
	}

	newest(team: Team, sandboxIds: readonly string[]): ReadonlyMap<string, SandboxSample> {
		const found = new Map<string, SandboxSample>();
		for (const id of sandboxIds) {
			const sample = this.#sandboxes.get(id)?.newest();
			if (sample && this.#core.ledger.get(id)?.teamId === team.id) found.set(id, sample);
		}
		return found;
	}

	ofTeam(team: Team, window: Window): readonly TeamSample[] {
		return this.#teams.get(team.id)?.within(window) ?? [];
	}

	async #sample(): Promise<void> {
		const { ledger, clock } = this.#core;
		for (const id of this.#sandboxes.keys()) if (!ledger.get(id)) this.#sandboxes.delete(id);
		this.#sampleTeams(clock.now());
		const due = [...ledger.all()].filter((record) => record.state === "running" && !this.#core.operations.current(record.id));
		const work = due.values();
		const worker = async () => {
			for (const record of work) await this.#sampleSandbox(record);
		};
		await Promise.all(Array.from({ length: AT_ONCE }, worker));
		if (clock.now() - this.#savedAt >= SAVE_EVERY_MS) await this.#saveOrSay();
	}

	async #saveOrSay(): Promise<void> {
		await this.save().catch((error) => this.#core.log.error({ err: error }, "measures could not be saved"));
	}

	#seriesOf(sandboxId: string): Series<SandboxSample> {
		const series = this.#sandboxes.get(sandboxId) ?? new Series<SandboxSample>((_older, newer) => newer);
		this.#sandboxes.set(sandboxId, series);
		return series;
	}

	#teamSeries(teamId: string): Series<TeamSample> {
		const series = this.#teams.get(teamId) ?? new Series<TeamSample>(larger);
		this.#teams.set(teamId, series);
		return series;
	}

	async #sampleSandbox(record: SandboxRecord): Promise<void> {
		const { node, clock, lifetime, ledger } = this.#core;
		const signal = AbortSignal.any([lifetime, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
		const { id: sandboxId, incarnation, accessToken } = record;
		const metrics = await node.metrics({ sandboxId, incarnation }, accessToken, signal).catch(() => undefined);
		if (!metrics || !ledger.get(sandboxId)) return;
		this.#seriesOf(sandboxId).add({ at: clock.now(), ...metrics });
	}

	#sampleTeams(at: number): void {
		const seconds = Math.max(1, at - this.#lastAt) / 1000;
		this.#lastAt = at;
		const running = new Map<string, number>();
		for (const { teamId, state } of this.#core.ledger.all()) {
			if (state !== "paused" && state !== "starting") running.set(teamId, (running.get(teamId) ?? 0) + 1);
		}
		for (const teamId of new Set([...running.keys(), ...this.#starts.keys(), ...this.#teams.keys()])) {
			const startRate = (this.#starts.get(teamId) ?? 0) / seconds;
			this.#teamSeries(teamId).add({ at, concurrentSandboxes: running.get(teamId) ?? 0, startRate });
		}
		this.#starts.clear();
	}
}

/** Peaks survive thinning. */
function larger(older: TeamSample, newer: TeamSample): TeamSample {
	return {
		at: older.concurrentSandboxes > newer.concurrentSandboxes ? older.at : newer.at,
		concurrentSandboxes: Math.max(older.concurrentSandboxes, newer.concurrentSandboxes),
		startRate: Math.max(older.startRate, newer.startRate),
	};
}
