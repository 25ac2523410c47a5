/**
 * The nft rules, as text. Nothing here runs anything.
 *
 * A packet's way. From a guest: `netdev` ingress of its veth (only IPv4 from the guest's own address passes; its source
 * becomes the slot's address) → `prerouting` (closed ranges, then the tenant's policy) → `input` (DNS only) or `forward`
 * (closed ranges again, in case somebody's DNAT rewrote the destination) → masquerade. Connections that the policy leads
 * through the egress proxy are redirected to it (`input`); what the proxy itself opens is closed to the same ranges
 * (`output`, by its user). To a guest: only what this host itself opened (`output`), or an answer (`forward`); then
 * `netdev` egress gives it the guest's address.
 *
 * A slot is used by one sandbox after another. Connections that were tracked for an earlier one must not reach the next:
 * every connection carries the slot's *generation* as its conntrack mark, and packets of another generation are dropped.
 */
import { GATEWAY_ADDRESS, GUEST_ADDRESS } from "../../protocol/index.ts";
import { ipv4Cidrs } from "./cidr.ts";
import { CLOSED_CIDRS } from "./closed.ts";
import { EGRESS_CHAINS, REDIRECTS } from "./egress-rules.ts";
import { GUEST_MAC, type InstanceNames } from "./names.ts";

/** Tracked connections that one user of a slot may hold at a time: the table is the host's, and finite. */
const MAX_CONNECTIONS = 4096;

export interface DnsListener {
	readonly address: string;
	/** For UDP and TCP. */
	readonly port: number;
}

export interface BaseRules {
	readonly names: InstanceNames;
	readonly addressRange: string;
	readonly operatorAllowCidrs: readonly string[];
	readonly dns: DnsListener;
	/** User that the egress proxy runs as, and nobody else. */
	readonly proxyUid: number;
}

export interface SlotRules {
	readonly names: InstanceNames;
	readonly index: number;
	readonly address: string;
	readonly generation: number;
}

interface Chain {
	readonly name: string;
	readonly hook?: string;
	readonly rules: readonly string[];
}

/**
 * Everything that does not belong to one slot. May be applied again at any time, in one transaction, to tables of the
 * same version: sets, maps and the chains of slots are kept.
 */
export function baseRules(options: BaseRules): string {
	const { table } = options.names;
	return `${[
		`add table ip ${table}`,
		`add map ip ${table} redirects { type ifname : verdict; }`,
		`add map ip ${table} policies { type ifname : verdict; }`,
		`add map ip ${table} generation { type ifname : mark; }`,
		`add set ip ${table} live { type ifname . mark; }`,
		`add set ip ${table} connections { type ipv4_addr . mark; size 65535; flags dynamic; }`,
		`add set ip ${table} dns_rate { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }`,
		...replaceChains(`ip ${table}`, ipChains(options)),
		`add table netdev ${table}`,
		...replaceChains(`netdev ${table}`, [CHECK_GUEST]),
	].join("\n")}\n`;
}

/** Chains first, since a rule can only lead to a chain that is there. */
function replaceChains(table: string, chains: readonly Chain[]): string[] {
	return [
		...chains.map(
			({ name, hook }) => `add chain ${table} ${name}${hook === undefined ? "" : ` { type ${hook}; policy accept; }`}`,
		),
		...chains.map(({ name }) => `flush chain ${table} ${name}`),
		...chains.flatMap(({ name, rules }) => rules.map((rule) => `add rule ${table} ${name} ${rule}`)),
	];
}

/** Guests' veths are point to point: the one ARP exchange they need is the question for the gateway. */
const CHECK_GUEST: Chain = {
	name: "check_guest",
	rules: [
		`ether saddr != ${GUEST_MAC} drop`,
		`arp operation request arp saddr ip ${GUEST_ADDRESS} arp daddr ip ${GATEWAY_ADDRESS} accept`,
		"ether type != ip drop",
		`ip saddr != ${GUEST_ADDRESS} drop`,
	],
};

function ipChains({ names, addressRange, operatorAllowCidrs, dns, proxyUid }: BaseRules): Chain[] {
	const slots = `"${names.linkPrefix}*"`;
	const operator = ipv4Cidrs(operatorAllowCidrs);
	const closed = `ip daddr { ${CLOSED_CIDRS.join(", ")} }${exceptFor(operator)}`;
	// A wide range opened by the operator opens the network behind the host, not the host itself: that takes its exact address.
	const hosts = operator.filter((cidr) => !cidr.includes("/"));
	const dnsListener = `ip daddr ${dns.address} meta l4proto { tcp, udp } th dport ${dns.port}`;
	const dnsQuery = `ip daddr ${GATEWAY_ADDRESS} meta l4proto { tcp, udp } th dport 53`;

	return [
		{
			name: "refuse",
			rules: ["meta l4proto tcp reject with tcp reset", "drop"],
		},
		{
			name: "from_guest",
			rules: [
				"ct state invalid,untracked drop",
				"ct direction reply iifname . ct mark @live accept",
				"ct direction reply drop",
				"ct mark set iifname map @generation",
				"meta l4proto != { tcp, udp, icmp } drop",
				`ct state new add @connections { ip saddr . ct mark ct count over ${MAX_CONNECTIONS} } drop`,
				`${dnsQuery} add @dns_rate { ip saddr limit rate over 100/second burst 200 packets } drop`,
				`${dnsQuery} iifname vmap @policies`,
				"fib daddr type != { unicast, local } drop",
				`fib daddr type local${exceptFor(hosts)} goto refuse`,
				`ip daddr ${addressRange} goto refuse`,
				`${closed} goto refuse`,
				"iifname vmap @policies",
				"drop",
			],
		},
		{
			name: "prerouting",
			hook: "filter hook prerouting priority mangle",
			rules: [
				`iifname ${slots} goto from_guest`,
				// Before un-NAT: no packet from elsewhere bears an address of a slot, neither as source nor as destination.
				`iifname != "lo" ip saddr ${addressRange} drop`,
				`iifname != "lo" ip daddr ${addressRange} drop`,
			],
		},
		{
			name: "gateway_dns",
			// Before other tables at `dstnat`: a published port 53 of some container must not take the guests' queries.
			hook: "nat hook prerouting priority dstnat - 5",
			rules: [
				`iifname ${slots} ip daddr ${GATEWAY_ADDRESS} udp dport 53 dnat to ${dns.address}:${dns.port}`,
				`iifname ${slots} ip daddr ${GATEWAY_ADDRESS} tcp dport 53 dnat to ${dns.address}:${dns.port}`,
				"iifname vmap @redirects",
			],
		},
		...EGRESS_CHAINS.map((name) => ({ name, rules: name in REDIRECTS ? ["drop"] : [] })),
		{
			name: "input",
			hook: "filter hook input priority filter",
			rules: [
				`iifname ${slots} ct direction reply accept`,
				`iifname ${slots} ct status dnat ip daddr ${dns.address} udp dport ${dns.port} accept`,
				`iifname ${slots} ct status dnat ip daddr ${dns.address} tcp dport ${dns.port} accept`,
				`iifname ${slots} ct status dnat jump egress_input`,
				// Of a proxy that is gone: its clients shall know.
				`iifname ${slots} ct status dnat ip daddr ${dns.address} meta l4proto tcp reject with tcp reset`,
				...hosts.map((host) => `iifname ${slots} ip daddr ${host} accept`),
				`iifname ${slots} drop`,
			],
		},
		{
			name: "forward",
			hook: "filter hook forward priority filter",
			rules: [
				`iifname ${slots} goto forward_out`,
				`oifname ${slots} ct direction reply ct state established,related oifname . ct mark @live goto clamp`,
				`oifname ${slots} drop`,
			],
		},
		{
			name: "forward_out",
			rules: ["ct direction reply drop", `ip daddr ${addressRange} drop`, `${closed} goto refuse`, "goto clamp"],
		},
		{
			// ICMP errors quote the slot's address, which a guest doesn't know as its own, so it cannot learn a path's MTU.
			name: "clamp",
			rules: ["tcp flags & (syn|rst) == syn tcp option maxseg size set rt mtu"],
		},
		{
			name: "output",
			hook: "filter hook output priority filter",
			rules: [`meta skuid ${proxyUid} goto from_proxy`, `oifname ${slots} goto to_guest`],
		},
		{
			name: "from_proxy",
			rules: [
				`oifname ${slots} ct direction reply oifname . ct mark @live accept`,
				`oifname ${slots} goto refuse`,
				"ct direction reply drop",
				`${dnsListener} accept`,
				`fib daddr type != unicast${exceptFor(hosts)} goto refuse`,
				`ip daddr ${addressRange} goto refuse`,
				`${closed} goto refuse`,
			],
		},
		{
			name: "to_guest",
			rules: [
				"jump egress_answers",
				"oifname . ct mark @live accept",
				"ct state new tcp flags & (fin|syn|rst|ack) != syn reject with tcp reset",
				"ct state new ct direction original ct mark set oifname map @generation accept",
				"goto refuse",
			],
		},
		{
			name: "postrouting",
			hook: "nat hook postrouting priority srcnat",
			rules: [`ip saddr ${addressRange} oifname != ${slots} masquerade`],
		},
	];
}

function exceptFor(cidrs: readonly string[]): string {
	return cidrs.length === 0 ? "" : ` ip daddr != { ${cidrs.join(", ")} }`;
}

/** Rules of a new slot, closed to everything but connections from this host. Its veth must exist. */
export function slotRules({ names, index, address, generation }: SlotRules): string {
	const { table, linkPrefix } = names;
	const link = `"${linkPrefix}${index}"`;
	return `${[
		`add chain netdev ${table} in_${index} { type filter hook ingress device ${link} priority filter; policy drop; }`,
		`add rule netdev ${table} in_${index} jump check_guest`,
		`add rule netdev ${table} in_${index} ip saddr set ${address} accept`,
		`add chain netdev ${table} out_${index} { type filter hook egress device ${link} priority filter; policy drop; }`,
		`add rule netdev ${table} out_${index} ip daddr ${address} ip daddr set ${GUEST_ADDRESS} accept`,
		`add rule netdev ${table} out_${index} ether type arp accept`,
		`add chain ip ${table} redirect_${index}`,
		`add element ip ${table} redirects { ${link} : goto redirect_${index} }`,
		`add chain ip ${table} policy_${index}`,
		`add rule ip ${table} policy_${index} goto refuse`,
		`add element ip ${table} policies { ${link} : goto policy_${index} }`,
		`add element ip ${table} generation { ${link} : ${generation} }`,
		`add element ip ${table} live { ${link} . ${generation} }`,
	].join("\n")}\n`;
}

/** Closes a slot and cuts every connection of its last user. */
export function renewRules(names: InstanceNames, index: number, from: number, to: number): string {
	const { table, linkPrefix } = names;
	const link = `"${linkPrefix}${index}"`;
	return `${[
		`flush chain ip ${table} redirect_${index}`,
		`flush chain ip ${table} policy_${index}`,
		`add rule ip ${table} policy_${index} goto refuse`,
		`delete element ip ${table} generation { ${link} }`,
		`delete element ip ${table} live { ${link} . ${from} }`,
		`add element ip ${table} generation { ${link} : ${to} }`,
		`add element ip ${table} live { ${link} . ${to} }`,
	].join("\n")}\n`;
}
