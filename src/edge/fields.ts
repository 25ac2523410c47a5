/** Pairs of a flat header list. */
export function* fields(flat: readonly string[]): Generator<[name: string, value: string]> {
	for (let index = 0; index + 1 < flat.length; index += 2) yield [flat[index] ?? "", flat[index + 1] ?? ""];
}

/** The flat list without the fields of these names, lower case. */
export function withoutFields(names: ReadonlySet<string>, flat: readonly string[]): string[] {
	return [...fields(flat)].filter(([name]) => !names.has(name.toLowerCase())).flat();
}
