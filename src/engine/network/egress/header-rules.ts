/** Which header fields a policy puts into requests to a host. */
import type { HeaderRule } from "../types.ts";
import { matchesDomain } from "./domains.ts";

/**
 * The rule for a host name, in lower case: the one that names it, or else the one with the longest matching wildcard.
 * Rules are never merged.
 */
export function ruleFor(name: string, rules: readonly HeaderRule[]): HeaderRule | undefined {
	const matching = rules.filter(({ domain }) => matchesDomain(name, [domain]));
	const exact = matching.find(({ domain }) => domain === name);
	return exact ?? matching.toSorted((a, b) => b.domain.length - a.domain.length)[0];
}

/** Fields of one connection only, and of the framing, which is restated; in lower case. */
export const PER_CONNECTION: ReadonlySet<string> = new Set([
	"connection",
	"expect",
	"keep-alive",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
]);

/** The flat list without fields of one connection, and without those that `headers` replaces, which follow. */
export function withHeaders(flat: readonly string[], headers: Readonly<Record<string, string>>): string[] {
	const replaced = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
	const kept = passedOn(flat, replaced);
	return [...kept, ...Object.entries(headers).flat()];
}

/** The flat list without fields of one connection. */
export function passedOn(flat: readonly string[], dropped: ReadonlySet<string> = new Set()): string[] {
	const named = namedByConnection(flat);
	return pairs(flat)
		.filter(([name]) => {
			const lower = name.toLowerCase();
			return !PER_CONNECTION.has(lower) && !dropped.has(lower) && !named.has(lower);
		})
		.flat();
}

/** Fields that a sender may not have removed: they say whom a request is for and how long it is. */
const NEVER_NAMED = new Set(["host", "content-length"]);

function namedByConnection(flat: readonly string[]): ReadonlySet<string> {
	const values = pairs(flat).filter(([name]) => name.toLowerCase() === "connection");
	const names = values.flatMap(([, value]) => value.split(",")).map((name) => name.trim().toLowerCase());
	return new Set(names.filter((name) => !NEVER_NAMED.has(name)));
}

function pairs(flat: readonly string[]): [name: string, value: string][] {
	const found: [string, string][] = [];
	for (let index = 0; index + 1 < flat.length; index += 2) found.push([flat[index] ?? "", flat[index + 1] ?? ""]);
	return found;
}
