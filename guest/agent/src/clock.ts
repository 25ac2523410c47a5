const MS_PER_NS = 1e-6;

/** ms since some moment, never set back. Not the global `performance`, which loads all of Node's measuring instruments. */
export function now(): number {
	return Number(process.hrtime.bigint()) * MS_PER_NS;
}
