/**
 * What an instance has on the host, found by name alone, and how it is removed. This works without any memory of a
 * former process, so it is what cleans up after a crash.
 */
import { readdir } from "node:fs/promises";
import { Type } from "typebox";
import { Value } from "typebox/value";
import { CommandError, run } from "../command.ts";
import { type InstanceNames, indexIn, NETNS_DIRECTORY } from "./names.ts";
import { ipBatch, runNft } from "./slot-host.ts";

/** Everything that belongs to slots, by index. */
export interface Traces {
	readonly namespaces: ReadonlySet<number>;
	readonly links: ReadonlySet<number>;
	readonly rules: SlotObjects;
}

/** Objects of slots inside the instance's tables. */
export interface SlotObjects {
	/** Names of chains by family. */
	readonly chains: readonly { readonly family: "ip" | "netdev"; readonly name: string; readonly index: number }[];
	readonly policies: ReadonlySet<number>;
	readonly redirects: ReadonlySet<number>;
	/** Generation by index. */
	readonly generations: ReadonlyMap<number, number>;
	readonly live: readonly { readonly index: number; readonly generation: number }[];
}

export async function findTraces(names: InstanceNames, signal: AbortSignal): Promise<Traces> {
	const [namespaces, links, ipTable, netdevTable] = await Promise.all([
		listNamespaces(),
		listLinks(signal),
		listTable("ip", names.table, signal),
		listTable("netdev", names.table, signal),
	]);
	return {
		namespaces: indexesIn(namespaces, names.netnsPrefix),
		links: indexesIn(links, names.linkPrefix),
		rules: parseSlotObjects(names, [...ipTable, ...netdevTable]),
	};
}

export function tracedIndexes({ namespaces, links, rules }: Traces): Set<number> {
	return new Set([
		...namespaces,
		...links,
		...rules.chains.map(({ index }) => index),
		...rules.policies,
		...rules.redirects,
		...rules.generations.keys(),
		...rules.live.map(({ index }) => index),
	]);
}

/** Removes what `traces` tells of the slots that `isDoomed` names. */
export async function removeTraces(
	names: InstanceNames,
	traces: Traces,
	isDoomed: (index: number) => boolean,
	signal: AbortSignal,
): Promise<void> {
	// Rules before links: a base chain of a link that is gone is handled differently from kernel to kernel.
	const rules = removalRules(names, traces.rules, isDoomed);
	if (rules !== "") await runNft(rules, signal);
	// Links before namespaces: a namespace takes its half of the veth along only some time later.
	const commands = [
		...[...traces.links].filter(isDoomed).map((index) => `link del ${names.linkPrefix}${index}`),
		...[...traces.namespaces].filter(isDoomed).map((index) => `netns del ${names.netnsPrefix}${index}`),
	];
	if (commands.length > 0) await ipBatch([], commands, signal);
}

/** nft commands that remove the objects of the doomed slots; empty when there are none. */
export function removalRules(names: InstanceNames, objects: SlotObjects, isDoomed: (index: number) => boolean): string {
	const { table, linkPrefix } = names;
	const link = (index: number) => `"${linkPrefix}${index}"`;
	const chains = objects.chains.filter(({ index }) => isDoomed(index));
	const lines = [
		...[...objects.policies].filter(isDoomed).map((index) => `delete element ip ${table} policies { ${link(index)} }`),
		...[...objects.redirects].filter(isDoomed).map((index) => `delete element ip ${table} redirects { ${link(index)} }`),
		...[...objects.generations.keys()]
			.filter(isDoomed)
			.map((index) => `delete element ip ${table} generation { ${link(index)} }`),
		...objects.live
			.filter(({ index }) => isDoomed(index))
			.map(({ index, generation }) => `delete element ip ${table} live { ${link(index)} . ${generation} }`),
		...chains.map(({ family, name }) => `flush chain ${family} ${table} ${name}`),
		...chains.map(({ family, name }) => `delete chain ${family} ${table} ${name}`),
	];
	return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

const NftList = Type.Object({ nftables: Type.Array(Type.Record(Type.String(), Type.Unknown())) });
export type NftObject = Record<string, unknown>;

/** Objects of `nft -j list …`. */
export function parseNft(json: string): NftObject[] {
	return Value.Parse(NftList, JSON.parse(json)).nftables;
}

/** Objects of one table; none when there is no such table. */
async function listTable(family: string, table: string, signal: AbortSignal): Promise<NftObject[]> {
	try {
		return parseNft((await run("nft", ["-j", "list", "table", family, table], { signal })).stdout);
	} catch (error) {
		if (error instanceof CommandError && error.stderr.includes("No such file or directory")) return [];
		throw error;
	}
}

const ChainObject = Type.Object({
	chain: Type.Object({ family: Type.Union([Type.Literal("ip"), Type.Literal("netdev")]), name: Type.String() }),
});
const MapObject = Type.Object({
	map: Type.Object({ name: Type.String(), elem: Type.Array(Type.Tuple([Type.String(), Type.Unknown()])) }),
});
const LiveObject = Type.Object({
	set: Type.Object({
		name: Type.Literal("live"),
		elem: Type.Array(Type.Object({ concat: Type.Tuple([Type.String(), Type.Number()]) })),
	}),
});

const SLOT_CHAINS = ["in_", "out_", "policy_", "redirect_"];

/** Finds the slots' chains and elements among the objects of an instance's tables. */
export function parseSlotObjects(names: InstanceNames, objects: readonly NftObject[]): SlotObjects {
	const maps = objects.filter((object) => Value.Check(MapObject, object)).map(({ map }) => map);
	const elements = (name: string) =>
		maps
			.filter((map) => map.name === name)
			.flatMap((map) => map.elem)
			.flatMap(([link, value]) => {
				const index = indexIn(link, names.linkPrefix);
				return index === undefined ? [] : [{ index, value }];
			});
	return {
		chains: objects
			.filter((object) => Value.Check(ChainObject, object))
			.flatMap(({ chain: { family, name } }) => {
				const index = SLOT_CHAINS.map((prefix) => indexIn(name, prefix)).find((found) => found !== undefined);
				return index === undefined ? [] : [{ family, name, index }];
			}),
		policies: new Set(elements("policies").map(({ index }) => index)),
		redirects: new Set(elements("redirects").map(({ index }) => index)),
		generations: new Map(elements("generation").map(({ index, value }) => [index, Number(value)])),
		live: objects
			.filter((object) => Value.Check(LiveObject, object))
			.flatMap(({ set }) => set.elem)
			.flatMap(({ concat: [link, generation] }) => {
				const index = indexIn(link, names.linkPrefix);
				return index === undefined ? [] : [{ index, generation }];
			}),
	};
}

async function listNamespaces(): Promise<string[]> {
	try {
		return await readdir(NETNS_DIRECTORY);
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
		throw error;
	}
}

const Links = Type.Array(Type.Object({ ifname: Type.String() }));

async function listLinks(signal: AbortSignal): Promise<string[]> {
	const { stdout } = await run("ip", ["-j", "link", "show", "type", "veth"], { signal });
	return Value.Parse(Links, JSON.parse(stdout.trim() === "" ? "[]" : stdout)).map(({ ifname }) => ifname);
}

function indexesIn(found: readonly string[], prefix: string): Set<number> {
	return new Set(found.map((name) => indexIn(name, prefix)).filter((index) => index !== undefined));
}

/** True while the host holds anything named after the instance: then it is alive, or left something to be cleaned up. */
export async function hasTraces(names: InstanceNames, signal: AbortSignal): Promise<boolean> {
	const traces = await findTraces(names, signal);
	if (tracedIndexes(traces).size > 0) return true;
	return (await listTable("ip", names.table, signal)).length > 0;
}
