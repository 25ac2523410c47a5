/** Parses the kernel's flat files: one number, or lines of a name and a number. */
export function number(text: string | undefined): number | undefined {
	const value = Number(text?.trim());
	return text === undefined || Number.isNaN(value) ? undefined : value;
}

export function field(text: string | undefined, name: string): number {
	const line = text?.split("\n").find((candidate) => candidate.startsWith(`${name} `));
	return Number(line?.slice(name.length + 1) ?? 0);
}
