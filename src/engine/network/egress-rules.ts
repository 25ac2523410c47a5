/** The nft rules, as text, that lead redirected connections to the egress proxy and let nobody else answer them. */
import type { InstanceNames } from "./names.ts";

export interface ProxyListener {
	readonly address: string;
	/** User that the proxy runs as. */
	readonly uid: number;
	readonly ports: { readonly http: number; readonly tls: number; readonly any?: number | undefined };
}

/** Chains that redirect, by the connections they are for. Slots' redirect chains go to them. */
export const REDIRECTS = { egress_http: "http", egress_tls: "tls", egress_any: "any" } as const;

/** Chains whose rules change with the proxy's process. Until there is one, redirected connections are dropped. */
export const EGRESS_CHAINS: readonly string[] = [...Object.keys(REDIRECTS), "egress_input", "egress_answers"];

/** Replaces what led to an earlier process of the proxy. */
export function listenerRules({ table }: InstanceNames, { address, uid, ports }: ProxyListener): string {
	const all = Object.values(ports).filter((port) => port !== undefined);
	const redirects = Object.entries(REDIRECTS).map(([chain, kind]) => {
		const port = ports[kind];
		return `add rule ip ${table} ${chain} ${port === undefined ? "drop" : `meta l4proto tcp dnat to ${address}:${port}`}`;
	});
	return `${[
		...EGRESS_CHAINS.map((chain) => `flush chain ip ${table} ${chain}`),
		...redirects,
		`add rule ip ${table} egress_input ip daddr ${address} tcp dport { ${all.join(", ")} } accept`,
		// Should the proxy be gone and one of its ports be somebody else's, a guest must not get to speak to them.
		`add rule ip ${table} egress_answers ip saddr ${address} tcp sport { ${all.join(", ")} } meta skuid != ${uid} drop`,
	].join("\n")}\n`;
}
