/** A seeded generator, so that a failing campaign can be run again: uniform in [0, 1). Source: mulberry32. */
export function seededRandom(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

export function pick<T>(random: () => number, items: readonly T[]): T {
	const item = items[Math.floor(random() * items.length)];
	if (item === undefined) throw new Error("nothing to pick from");
	return item;
}

/** The seed of a campaign: from the environment, to repeat one, else new. It is printed with the campaign's result. */
export function campaignSeed(): number {
	return Number(process.env.OFFSHOOT_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
}

/** How long a campaign is: short in every run, long when asked. */
export function campaignLength(short: number, long: number): number {
	return process.env.OFFSHOOT_TEST_LONG === "1" ? long : short;
}
