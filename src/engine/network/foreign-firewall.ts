/**
 * Other firewalls on the host (Docker, ufw, firewalld). In nftables a packet must be accepted by every table: what our
 * table allows, a default of "drop" elsewhere still stops. So where such a chain ends in dropping everything that
 * nothing above it decided, one rule is put there, at the end, that lets the slots' packets through; our own table has
 * decided about them already. The operator's explicit rules above it go on holding. The rule carries the instance's
 * name as its comment, and goes with the instance.
 */
import { Type } from "typebox";
import { Value } from "typebox/value";
import { run } from "../command.ts";
import { type InstanceNames, TABLE_PREFIX } from "./names.ts";
import { type NftObject, parseNft } from "./traces.ts";

export interface ForeignChain {
	readonly family: "ip" | "inet";
	readonly table: string;
	readonly name: string;
	readonly hook: "input" | "forward";
	readonly policy: string;
}

/** What stands at the end of a chain. */
export type ChainEnd =
	| { readonly kind: "open" }
	| { readonly kind: "drops by policy" }
	/** The last rule drops or rejects everything. */
	| { readonly kind: "drops by rule"; readonly handle: number };

/** Makes sure that every dropping chain lets this instance's slots through. Returns the chains that refused the change. */
export async function openForeignChains(names: InstanceNames, signal: AbortSignal): Promise<readonly string[]> {
	const refused: string[] = [];
	for (const chain of await foreignChains(signal)) {
		const rules = await listRules(chain, signal);
		const end = chainEnd(chain, rules);
		if (end.kind === "open" || ownRules(names, rules).length > 0) continue;
		try {
			await run("nft", ["-f", "-"], { input: passRules(names, chain, end), signal });
		} catch (error) {
			if (signal.aborted) throw error;
			refused.push(`${chain.family} ${chain.table} ${chain.name}`);
		}
	}
	return refused;
}

/** Takes this instance's rules out of other programs' chains. */
export async function closeForeignChains(names: InstanceNames, signal: AbortSignal): Promise<void> {
	for (const chain of await foreignChains(signal)) {
		const { family, table, name } = chain;
		for (const handle of ownRules(names, await listRules(chain, signal))) {
			await run("nft", ["delete", "rule", family, table, name, "handle", `${handle}`], { signal });
		}
	}
}

const BaseChain = Type.Object({
	chain: Type.Object({
		family: Type.Union([Type.Literal("ip"), Type.Literal("inet")]),
		table: Type.String(),
		name: Type.String(),
		type: Type.Literal("filter"),
		hook: Type.Union([Type.Literal("input"), Type.Literal("forward")]),
		policy: Type.String(),
	}),
});

/** Filter chains of other programs that see packets from or to slots. */
export async function foreignChains(signal: AbortSignal): Promise<ForeignChain[]> {
	return parseForeignChains(parseNft((await run("nft", ["-j", "list", "chains"], { signal })).stdout));
}

export function parseForeignChains(objects: readonly NftObject[]): ForeignChain[] {
	return objects
		.filter((object) => Value.Check(BaseChain, object))
		.map(({ chain: { family, table, name, hook, policy } }) => ({ family, table, name, hook, policy }))
		.filter(({ table }) => !table.startsWith(TABLE_PREFIX));
}

export interface ForeignRule {
	readonly handle: number;
	readonly comment?: string;
	readonly expr: readonly NftObject[];
}

const Rule = Type.Object({
	rule: Type.Object({
		handle: Type.Number(),
		comment: Type.Optional(Type.String()),
		expr: Type.Array(Type.Record(Type.String(), Type.Unknown())),
	}),
});

export async function listRules({ family, table, name }: ForeignChain, signal: AbortSignal): Promise<ForeignRule[]> {
	return parseRules(parseNft((await run("nft", ["-j", "-a", "list", "chain", family, table, name], { signal })).stdout));
}

export function parseRules(objects: readonly NftObject[]): ForeignRule[] {
	return objects.filter((object) => Value.Check(Rule, object)).map(({ rule }) => rule);
}

export function chainEnd(chain: ForeignChain, rules: readonly ForeignRule[]): ChainEnd {
	const last = rules.at(-1);
	if (last !== undefined && dropsEverything(last)) return { kind: "drops by rule", handle: last.handle };
	return chain.policy === "drop" ? { kind: "drops by policy" } : { kind: "open" };
}

function dropsEverything({ expr }: ForeignRule): boolean {
	const last = expr.at(-1) ?? {};
	const refuses = "drop" in last || "reject" in last || Value.Check(IptablesReject, last);
	return refuses && expr.slice(0, -1).every((step) => "counter" in step || "log" in step);
}

/** How nft shows the REJECT of rules that iptables wrote. */
const IptablesReject = Type.Object({ xt: Type.Object({ name: Type.Literal("REJECT") }) });

/** Handles of the rules that this instance put into a chain. */
function ownRules({ table }: InstanceNames, rules: readonly ForeignRule[]): number[] {
	return rules.filter(({ comment }) => comment === table).map(({ handle }) => handle);
}

/** nft commands that let the instance's slots through a chain with this end. */
export function passRules(names: InstanceNames, { family, table, name, hook }: ForeignChain, end: ChainEnd): string {
	const verb = end.kind === "drops by rule" ? "insert" : "add";
	const position = end.kind === "drops by rule" ? ` handle ${end.handle}` : "";
	const slots = `"${names.linkPrefix}*"`;
	const matches = hook === "input" ? [`iifname ${slots}`] : [`iifname ${slots}`, `oifname ${slots}`];
	return matches
		.map((match) => `${verb} rule ${family} ${table} ${name}${position} ${match} counter accept comment "${names.table}"\n`)
		.join("");
}
