/** Meaning of `network.rules`: which are allowed, and what they come to on the host. */
import { type EgressPolicy, type HeaderRule, isDomainPattern, PER_CONNECTION } from "../engine/index.ts";
import { OffshootError } from "../protocol/index.ts";
import type { NetworkRules } from "./types.ts";

/** Source of all limits: E2B's wire protocol. */
const MAX_DOMAINS = 10;
const MAX_DOMAIN_LENGTH = 128;
const MAX_HEADERS = 20;
const MAX_NAME_LENGTH = 64;
const MAX_VALUE_LENGTH = 2048;
/** Source: RFC 9110 §5.6.2 and §5.5. */
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** What says whom a request is for, how long it is, and what belongs to one connection, is not for a rule to say. */
const RESERVED: ReadonlySet<string> = new Set([...PER_CONNECTION, "content-length", "host"]);
const PLACEHOLDER = /\$\{e2b\.[^}]*\}/;

/** @throws OffshootError invalid_request; not_implemented for placeholders, which would be sent as they are */
export function assertRules(rules: NetworkRules): void {
	const domains = Object.entries(rules);
	if (domains.length > MAX_DOMAINS) throw invalid(`network.rules may have ${MAX_DOMAINS} domains at most`);
	const seen = new Set<string>();
	for (const [domain, transforms] of domains) {
		const shown = domain.slice(0, MAX_DOMAIN_LENGTH);
		const name = domain.toLowerCase();
		if (domain.length > MAX_DOMAIN_LENGTH || !isDomainPattern(name))
			throw invalid(`network.rules: '${shown}' is no host name, or '*.' and a host name`);
		if (seen.has(name)) throw invalid(`network.rules has '${shown}' twice`);
		seen.add(name);
		if (transforms.length > 1) throw invalid(`network.rules['${shown}'] may have one transform at most`);
		for (const { transform } of transforms) assertHeaders(`network.rules['${shown}']`, transform?.headers ?? {});
	}
}

/** Values are secrets: no message shows them. */
function assertHeaders(field: string, headers: Readonly<Record<string, string>>): void {
	const names = Object.keys(headers);
	if (names.length > MAX_HEADERS) throw invalid(`${field} may have ${MAX_HEADERS} headers at most`);
	if (new Set(names.map((name) => name.toLowerCase())).size !== names.length) throw invalid(`${field} has a header twice`);
	for (const [name, value] of Object.entries(headers)) {
		const shown = name.slice(0, MAX_NAME_LENGTH);
		if (name.length > MAX_NAME_LENGTH || !FIELD_NAME.test(name)) throw invalid(`${field}: '${shown}' is no name of a header`);
		if (RESERVED.has(name.toLowerCase())) throw invalid(`${field}: the header '${shown}' cannot be set by a rule`);
		if (value.length > MAX_VALUE_LENGTH || !FIELD_VALUE.test(value))
			throw invalid(`${field}: the value of '${shown}' must be at most ${MAX_VALUE_LENGTH} characters that a header may have`);
		if (PLACEHOLDER.test(value)) {
			const text = `${field}: the value of '${shown}' has a placeholder; secrets and identity tokens are not available in this version, write the value itself`;
			throw new OffshootError("not_implemented", text);
		}
	}
}

/** Domains in lower case; what a rule does not have is left out. */
export function normalRules(rules: NetworkRules): NetworkRules {
	return Object.fromEntries(
		Object.entries(rules).map(([domain, transforms]) => [
			domain.toLowerCase(),
			transforms.map(({ transform }) =>
				transform === undefined
					? {}
					: { transform: transform.headers === undefined ? {} : { headers: { ...transform.headers } } },
			),
		]),
	);
}

/** The part of a policy that the rules are. */
export function withHeaderRules(rules: NetworkRules | undefined): Pick<EgressPolicy, "headerRules"> {
	const headerRules = Object.entries(rules ?? {}).flatMap(([domain, transforms]): HeaderRule[] => {
		const headers = transforms[0]?.transform?.headers ?? {};
		return Object.keys(headers).length === 0 ? [] : [{ domain: domain.toLowerCase(), headers }];
	});
	return headerRules.length === 0 ? {} : { headerRules };
}

function invalid(message: string): OffshootError {
	return new OffshootError("invalid_request", message);
}
