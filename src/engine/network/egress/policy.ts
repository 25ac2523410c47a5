/** A slot's policy in the form in which the proxy asks it, for every connection. */
import type { BlockList } from "node:net";
import type { EgressPolicy, HeaderRule, SocksProxy } from "../types.ts";
import { blockListOf } from "./destinations.ts";

export interface Policy {
	readonly allow: BlockList;
	readonly deny: BlockList;
	readonly internet: boolean;
	readonly domains: readonly string[];
	readonly socks: SocksProxy | undefined;
	readonly rules: readonly HeaderRule[];
}

export function readPolicy({ internet, allowCidrs, denyCidrs, allowDomains, egressProxy, headerRules }: EgressPolicy): Policy {
	return {
		allow: blockListOf(allowCidrs),
		deny: blockListOf(denyCidrs),
		internet,
		domains: allowDomains ?? [],
		socks: egressProxy,
		rules: headerRules ?? [],
	};
}

/** True when the policy lets connections go to this address by itself, whatever name it has. */
export function reaches({ allow, deny, internet }: Policy, address: string): boolean {
	return allow.check(address) || (internet && !deny.check(address));
}

/** Connections through one proxy do not outlive the change to another. */
export function keyOf(socks: SocksProxy | undefined): string | undefined {
	return socks && JSON.stringify([socks.host, socks.port, socks.username, socks.password]);
}
