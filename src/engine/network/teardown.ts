/** Removes an instance's network from the host, with or without a server that runs. */
import { Type } from "typebox";
import { Value } from "typebox/value";
import { run } from "../command.ts";
import { closeForeignChains } from "./foreign-firewall.ts";
import { restoreForwarding } from "./forwarding.ts";
import { type InstanceNames, namesOf } from "./names.ts";
import { releaseAddressRange } from "./ranges.ts";
import { runNft } from "./slot-host.ts";
import { findTraces, removeTraces } from "./traces.ts";

/**
 * Removes every trace: slots, tables, rules in other firewalls, the DNS address, the claim on addresses; and turns
 * forwarding off again if this was the last instance and had turned it on. No error for what is gone already.
 */
export async function removeInstanceNetwork(instanceId: string, signal: AbortSignal): Promise<void> {
	const names = namesOf(instanceId);
	await removeTraces(names, await findTraces(names, signal), () => true, signal);
	const { table } = names;
	// `add` first: the deletion of a table that is not there would fail.
	const deletion = ["ip", "netdev"].map((family) => `add table ${family} ${table}\ndelete table ${family} ${table}\n`);
	await runNft(deletion.join(""), signal);
	await closeForeignChains(names, signal);
	await removeDnsAddress(names, signal);
	await releaseAddressRange(instanceId, signal);
	await restoreForwarding(signal);
}

const Addresses = Type.Array(
	Type.Object({ addr_info: Type.Array(Type.Object({ local: Type.String(), label: Type.Optional(Type.String()) })) }),
);

async function removeDnsAddress({ dnsLabel }: InstanceNames, signal: AbortSignal): Promise<void> {
	const { stdout } = await run("ip", ["-4", "-j", "addr", "show", "dev", "lo"], { signal });
	const addresses = Value.Parse(Addresses, JSON.parse(stdout)).flatMap(({ addr_info }) => addr_info);
	for (const { local, label } of addresses) {
		if (label === dnsLabel) await run("ip", ["addr", "del", `${local}/32`, "dev", "lo"], { signal });
	}
}
