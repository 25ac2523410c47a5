/**
 * The nft rules of one slot's policy, as text. `policy_<slot>` is asked for every packet of the guest, before its
 * destination is translated, so that a new policy also ends open connections; `redirect_<slot>` once for every new
 * connection: which of them the egress proxy carries.
 */
import { GATEWAY_ADDRESS } from "../../protocol/index.ts";
import { ipv4Cidrs } from "./cidr.ts";
import type { InstanceNames } from "./names.ts";
import type { EgressPolicy } from "./types.ts";

/**
 * Puts the first policy of a slot's user in front of the rule that closes it, which nothing reaches from then on. A
 * transaction that only adds takes a quarter of the time of one that removes: the kernel need not wait for its readers.
 * @throws RangeError if an entry is no CIDR
 */
export function firstPolicyRules(names: InstanceNames, index: number, policy: EgressPolicy): string {
	const inserted = policyOf(policy)
		.toReversed()
		.map((rule) => `insert rule ip ${names.table} policy_${index} ${rule}\n`);
	return [...inserted, ...added(`ip ${names.table} redirect_${index}`, redirectsOf(policy))].join("");
}

/** Replaces a slot's policy. @throws RangeError if an entry is no CIDR */
export function policyRules(names: InstanceNames, index: number, policy: EgressPolicy): string {
	return chainRules(names, index, { policy: policyOf(policy), redirect: redirectsOf(policy) });
}

/** Replaces the rules of a slot's two chains. */
export function chainRules(
	{ table }: InstanceNames,
	index: number,
	rules: { readonly policy: readonly string[]; readonly redirect: readonly string[] },
): string {
	return Object.entries(rules)
		.map(([name, lines]) => ({ chain: `ip ${table} ${name}_${index}`, lines }))
		.flatMap(({ chain, lines }) => [`flush chain ${chain}\n`, ...added(chain, lines)])
		.join("");
}

function added(chain: string, rules: readonly string[]): string[] {
	return rules.map((rule) => `add rule ${chain} ${rule}\n`);
}

/** True if connections of a slot with this policy are led through the egress proxy. */
export function needsProxy({ allowDomains = [], egressProxy, headerRules = [] }: EgressPolicy): boolean {
	return allowDomains.length > 0 || egressProxy !== undefined || headerRules.length > 0;
}

/** Protocols whose clients say a host's name first: HTTP and TLS at their own ports. */
const NAMED = "tcp dport { 80, 443 }";

/**
 * Its first rule decides about DNS, for which the destination is the gateway: open together with the internet, or when
 * there are names to be resolved. Its last rule decides everything.
 */
function policyOf(policy: EgressPolicy): string[] {
	const allow = ipv4Cidrs(policy.allowCidrs);
	const deny = deniedBy(policy);
	const open = !deny.includes(EVERYTHING);
	const domains = (policy.allowDomains ?? []).length > 0;
	return [
		`ip daddr ${GATEWAY_ADDRESS} ${open || domains ? "accept" : "goto refuse"}`,
		...(policy.egressProxy === undefined ? [] : ONLY_THROUGH_PROXY),
		...(allow.length > 0 ? [`ip daddr { ${allow.join(", ")} } accept`] : []),
		...(domains ? redirectedOnly(policy) : []),
		...(open && deny.length > 0 ? [`ip daddr { ${deny.join(", ")} } goto refuse`] : []),
		open ? "accept" : "goto refuse",
	];
}

function deniedBy(policy: EgressPolicy): string[] {
	return policy.internet ? ipv4Cidrs(policy.denyCidrs) : [EVERYTHING];
}

/** What a SOCKS proxy cannot carry would get past it, and so would connections that are older than the policy. */
const ONLY_THROUGH_PROXY = ["meta l4proto != tcp goto refuse", "ct state established,related ct status & dnat == 0 goto refuse"];

/** A connection that is older than the policy was not led to the proxy, so nobody looked at its name. */
function redirectedOnly({ egressProxy }: EgressPolicy): string[] {
	if (egressProxy !== undefined) return [`${NAMED} accept`];
	return [`${NAMED} ct state new accept`, `${NAMED} ct status dnat accept`];
}

function redirectsOf(policy: EgressPolicy): string[] {
	if (policy.egressProxy !== undefined) return ["meta l4proto tcp goto egress_any"];
	// The proxy must know where a connection was meant to go: most of them have no rule, and go there.
	if ((policy.headerRules ?? []).length > 0) return [`${NAMED} goto egress_any`];
	if ((policy.allowDomains ?? []).length === 0) return [];
	const allow = ipv4Cidrs(policy.allowCidrs);
	return [
		...(allow.length > 0 ? [`ip daddr { ${allow.join(", ")} } return`] : []),
		"tcp dport 80 goto egress_http",
		"tcp dport 443 goto egress_tls",
	];
}

const EVERYTHING = "0.0.0.0/0";
