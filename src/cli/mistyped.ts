/** Finds settings that nobody reads because their names are misspelt. */

export interface Mistyped {
	readonly name: string;
	/** The known name it resembles, if any. */
	readonly nearest: string | undefined;
}

/** More slips than these make another word. */
const SLIPS = 4;

/** Names in `env` that begin with `prefix`, are not `known` and not of a `foreign` family. */
export function findMistyped(
	env: NodeJS.ProcessEnv,
	names: { readonly prefix: string; readonly known: readonly string[]; readonly foreign: RegExp },
): readonly Mistyped[] {
	return Object.keys(env)
		.filter((name) => name.startsWith(names.prefix) && !names.known.includes(name) && !names.foreign.test(name))
		.map((name) => ({ name, nearest: nearestOf(name, names.known) }));
}

function nearestOf(name: string, known: readonly string[]): string | undefined {
	const [best] = known
		.map((candidate) => ({ candidate, slips: slipsBetween(name, candidate) }))
		.sort((a, b) => a.slips - b.slips);
	return best !== undefined && best.slips <= SLIPS ? best.candidate : undefined;
}

/** Letters to insert, remove or replace (Levenshtein's distance). */
function slipsBetween(a: string, b: string): number {
	let row = Array.from({ length: b.length + 1 }, (_, column) => column);
	for (const [index, letter] of [...a].entries()) {
		const next = [index + 1];
		for (const [column, other] of [...b].entries()) {
			const replaced = (row[column] ?? 0) + (letter === other ? 0 : 1);
			next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
		}
		row = next;
	}
	return row[b.length] ?? 0;
}
