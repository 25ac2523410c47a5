/** Checks of what sandboxes' networks are made of. Each takes the words of what went wrong, undefined when nothing did. */
import { type Finding, fail, ok, warn } from "./check.ts";

export function checkNamespaces(problem: string | undefined): Finding {
	if (problem === undefined) return ok("network namespaces and veth pairs can be made");
	return fail(
		`a network namespace with a veth pair cannot be made: ${problem}`,
		"apt-get install -y iproute2; modprobe veth; in a container, run it privileged",
	);
}

export function checkNetdevEgress(problem: string | undefined): Finding {
	if (problem === undefined) return ok("nftables has netdev tables with ingress and egress hooks");
	return fail(
		`an nftables netdev table with an egress hook cannot be made: ${problem}`,
		"apt-get install -y nftables; modprobe nf_tables; the kernel needs CONFIG_NETFILTER_EGRESS (5.16 or later)",
	);
}

export interface ForwardFacts {
	/** Tables of nftables whose chain on the forward hook drops by default. */
	readonly dropping: readonly string[];
	/** Whether the older iptables tables, which nftables cannot see, drop forwarded packets by default. */
	readonly legacyDrops: boolean;
}

export function checkForwarding({ dropping, legacyDrops }: ForwardFacts): Finding {
	if (legacyDrops) {
		return warn(
			"iptables-legacy drops forwarded packets by default: sandboxes have no internet",
			"iptables-legacy -I FORWARD -i os+ -j ACCEPT && iptables-legacy -I FORWARD -o os+ -j ACCEPT",
		);
	}
	if (dropping.length === 0) return ok("forwarded packets are let through by default");
	return ok(`${dropping.join(", ")} drops forwarded packets by default: Offshoot lets those of its sandboxes through`);
}
