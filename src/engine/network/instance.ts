/** What an instance needs on the host before its first slot: forwarding, DNS, the rules all slots share. */

import type { Logger } from "pino";
import { Type } from "typebox";
import { Value } from "typebox/value";
import { run } from "../command.ts";
import { DnsForwarder } from "./dns.ts";
import { openForeignChains } from "./foreign-firewall.ts";
import { enableForwarding } from "./forwarding.ts";
import { type AddressBlock, type InstanceNames, proxyUidOf } from "./names.ts";
import type { DnsListener } from "./rules.ts";
import { applyRules } from "./upgrade.ts";

export interface InstanceOptions {
	readonly names: InstanceNames;
	readonly block: AddressBlock;
	readonly operatorAllowCidrs: readonly string[];
	readonly log: Pick<Logger, "info" | "warn">;
}

export interface Instance {
	readonly dns: DnsForwarder;
	readonly dnsListener: DnsListener;
	readonly mtu: number;
}

/** Can be repeated: what a former process of this instance left is replaced, its slots and their policies are kept. */
export async function startInstance(options: InstanceOptions, signal: AbortSignal): Promise<Instance> {
	const { names, block, operatorAllowCidrs, log } = options;
	await run("ip", ["addr", "replace", `${block.dns}/32`, "dev", "lo", "label", names.dnsLabel], { signal });
	const [dns, listener] = await DnsForwarder.start(block.dns, block.cidr, signal);
	try {
		const proxyUid = proxyUidOf(block.cidr);
		await applyRules({ names, block, addressRange: block.cidr, operatorAllowCidrs, dns: listener, proxyUid, log }, signal);
		// After the rules: from here on the host forwards, and nothing may be routed to or from a slot unchecked.
		await enableForwarding();
		const refused = await openForeignChains(names, signal);
		if (refused.length > 0) {
			log.warn({ chains: refused }, "another firewall drops the sandboxes' packets and its rules cannot be changed: see doctor");
		}
		return { dns, dnsListener: listener, mtu: await uplinkMtu(signal) };
	} catch (error) {
		dns.close();
		throw error;
	}
}

const DEFAULT_MTU = 1500;
const DefaultRoutes = Type.Array(Type.Object({ dev: Type.Optional(Type.String()) }));
const Links = Type.Array(Type.Object({ mtu: Type.Number() }));

/** MTU of the way out, so that guests don't send what it cannot carry; never more than Ethernet's. */
async function uplinkMtu(signal: AbortSignal): Promise<number> {
	const routes = await run("ip", ["-4", "-j", "route", "show", "default"], { signal });
	const dev = Value.Parse(DefaultRoutes, JSON.parse(routes.stdout.trim() || "[]"))[0]?.dev;
	if (dev === undefined) return DEFAULT_MTU;
	const link = await run("ip", ["-j", "link", "show", "dev", dev], { signal });
	return Math.min(DEFAULT_MTU, Value.Parse(Links, JSON.parse(link.stdout))[0]?.mtu ?? DEFAULT_MTU);
}
