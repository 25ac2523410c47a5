/** Figures of repeated measurements, in the unit of the samples. */
export interface Summary {
	readonly n: number;
	readonly p50: number;
	readonly p90: number;
	readonly max: number;
}

/** Nearest-rank percentiles. @throws Error for no samples */
export function summarize(samples: readonly number[]): Summary {
	if (samples.length === 0) throw new Error("no samples");
	const sorted = [...samples].sort((a, b) => a - b);
	const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
	return { n: sorted.length, p50: rank(0.5), p90: rank(0.9), max: rank(1) };
}

/** Runs each mode in turn, round by round, so that a change of the machine's speed meets all of them; drops the first rounds. */
export async function interleave<Mode extends string>(
	modes: Readonly<Record<Mode, () => Promise<number>>>,
	rounds: number,
	warmUp: number,
): Promise<Record<Mode, Summary>> {
	const names = Object.keys(modes) as Mode[];
	const samples = new Map<Mode, number[]>(names.map((name) => [name, []]));
	for (let round = 0; round < rounds + warmUp; round++) {
		for (const name of names) {
			const value = await modes[name]();
			if (round >= warmUp) samples.get(name)?.push(value);
		}
	}
	return Object.fromEntries(names.map((name) => [name, summarize(samples.get(name) ?? [])])) as Record<Mode, Summary>;
}

/** ms that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
	const started = performance.now();
	await work();
	return performance.now() - started;
}
