/** Host names and patterns of egress policies. A pattern is a name, or `*.` and a name: any subdomain, but not the name itself. */

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
const MAX_NAME = 253;

/** True for a host name in lower case. Addresses are none: their last label is a number. */
export function isHostName(text: string): boolean {
	if (text.length > MAX_NAME) return false;
	const labels = text.split(".");
	const last = labels.at(-1) ?? "";
	return !/^\d*$/.test(last) && labels.every((label) => LABEL.test(label));
}

/** True for a pattern in lower case. */
export function isDomainPattern(text: string): boolean {
	return isHostName(text.startsWith("*.") ? text.slice(2) : text);
}

/** A name as it was said on a connection, in the form that patterns have. Undefined when it is no host name. */
export function normalizeHostName(text: string): string | undefined {
	const name = text.toLowerCase().replace(/\.$/, "");
	return isHostName(name) ? name : undefined;
}

/** @param name in lower case */
export function matchesDomain(name: string, patterns: readonly string[]): boolean {
	return patterns.some((pattern) =>
		pattern.startsWith("*.") ? name.length > pattern.length - 1 && name.endsWith(pattern.slice(1)) : name === pattern,
	);
}
