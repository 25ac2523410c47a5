/** Makes one slot on the host and puts it in order again. Each function ends with the slot as described, or throws. */
import { GATEWAY_ADDRESS } from "../../protocol/index.ts";
import { run } from "../command.ts";
import { type AddressBlock, GATEWAY_MAC, GUEST_CIDR, GUEST_MAC, type InstanceNames, NETNS_DIRECTORY } from "./names.ts";
import { renewRules, slotRules } from "./rules.ts";
import type { Slot } from "./types.ts";

export interface SlotRecord {
	readonly slot: Slot;
	/** Mark of the connections that belong to the slot's present user. */
	generation: number;
	/** True while address and route are known to be on the interface. */
	prepared: boolean;
	/** True while no policy was set for the present user. */
	closed: boolean;
}

export function slotAt(names: InstanceNames, block: AddressBlock, index: number): Slot {
	return { index, netnsPath: `${NETNS_DIRECTORY}/${names.netnsPrefix}${index}`, address: block.slot(index) };
}

export function runNft(rules: string, signal: AbortSignal): Promise<unknown> {
	return run("nft", ["-f", "-"], { input: rules, signal });
}

/** Makes namespace, veth and rules of a slot. After a failure traces may be left: the caller removes them. */
export async function makeSlot(
	names: InstanceNames,
	block: AddressBlock,
	index: number,
	mtu: number,
	signal: AbortSignal,
): Promise<SlotRecord> {
	const netns = `${names.netnsPrefix}${index}`;
	const link = `${names.linkPrefix}${index}`;
	const slot = slotAt(names, block, index);
	const { address } = slot;
	const generation = newGeneration(0);

	await ipBatch(
		[],
		[
			`netns add ${netns}`,
			`link add ${link} mtu ${mtu} address ${GATEWAY_MAC} type veth peer name eth0 mtu ${mtu} address ${GUEST_MAC} netns ${netns}`,
			`link set ${link} addrgenmode none`,
			`link set ${link} up`,
			`addr add ${GATEWAY_ADDRESS}/32 dev ${link} noprefixroute`,
			`route add ${address}/32 dev ${link} src ${GATEWAY_ADDRESS}`,
			`neigh replace ${address} lladdr ${GUEST_MAC} dev ${link} nud permanent`,
		],
		signal,
	);
	await bothEnded([
		runNft(slotRules({ names, index, address, generation }), signal),
		ipBatch(["-n", netns], ["link set lo up", "link set eth0 addrgenmode none", "link set eth0 up", ...GUEST_ADDRESSING], signal),
	]);
	return { slot, generation, prepared: true, closed: true };
}

/** The engine takes address and route off the interface for its own network stack; the next one needs them again. */
const GUEST_ADDRESSING = [`addr replace ${GUEST_CIDR} dev eth0`, `route replace default via ${GATEWAY_ADDRESS} dev eth0`];

export async function prepareSlot(names: InstanceNames, record: SlotRecord, signal: AbortSignal): Promise<void> {
	await ipBatch(["-n", `${names.netnsPrefix}${record.slot.index}`], ["link set eth0 up", ...GUEST_ADDRESSING], signal);
	record.prepared = true;
}

/** Makes the slot of a removed container ready for the next one: closed, prepared, cut off from what was before. */
export async function renewSlot(names: InstanceNames, record: SlotRecord, signal: AbortSignal): Promise<void> {
	const generation = newGeneration(record.generation);
	await bothEnded([
		runNft(renewRules(names, record.slot.index, record.generation, generation), signal),
		prepareSlot(names, record, signal),
	]);
	record.generation = generation;
	record.closed = true;
}

/**
 * A conntrack mark. Its upper byte keeps it apart from marks other programs use; the rest counts tenths of a second, so
 * that a number comes back after 19 days, when the connections that bore it are forgotten.
 */
function newGeneration(previous: number): number {
	const generation = 0x5f_000000 + (Math.floor(Date.now() / 100) % 2 ** 24);
	return generation === previous ? generation - 1 : generation;
}

export function ipBatch(options: readonly string[], commands: readonly string[], signal: AbortSignal): Promise<unknown> {
	return run("ip", [...options, "-batch", "-"], { input: `${commands.join("\n")}\n`, signal });
}

/** Waits for both even if one fails: what follows a failure is a removal, and nothing may be added behind its back. */
async function bothEnded(work: readonly Promise<unknown>[]): Promise<void> {
	for (const result of await Promise.allSettled(work)) {
		if (result.status === "rejected") throw result.reason;
	}
}
