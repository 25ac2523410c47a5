/**
 * Puts the shared rules on the host, whatever an earlier version of this code left there. Tables bear a mark of how
 * their rules are built. Under the same mark the shared rules are replaced and slots keep theirs. Under another one both
 * tables are made anew in one transaction, slots included: no packet passes unchecked, connections go on, and policies
 * are carried over if they still mean something; else their slots are closed until they are set again.
 */
import { createHash } from "node:crypto";
import type { Logger } from "pino";
import { CommandError, run } from "../command.ts";
import { type AddressBlock, type InstanceNames, namesOf } from "./names.ts";
import { chainRules } from "./policy-rules.ts";
import { type BaseRules, baseRules, slotRules } from "./rules.ts";
import { runNft } from "./slot-host.ts";
import { findTraces } from "./traces.ts";

export interface InstanceRules extends BaseRules {
	readonly block: AddressBlock;
	readonly log: Pick<Logger, "info" | "warn">;
}

export async function applyRules(options: InstanceRules, signal: AbortSignal): Promise<void> {
	const { table } = options.names;
	const shared = `${baseRules(options)}add chain ip ${table} ${MARK}\n`;
	const found = await chainsOf(table, signal);
	if (found === undefined || found.includes(MARK)) return void (await runNft(shared, signal));
	options.log.info("replacing network rules of another version");
	const [carried, closed] = await rebuilt(options, shared, signal);
	try {
		await runNft(carried, signal);
	} catch (error) {
		if (!(error instanceof CommandError) || error.exitCode === undefined) throw error;
		options.log.warn(
			{ err: error },
			"policies of another version cannot be read; their sandboxes are closed until they are set again",
		);
		await runNft(closed, signal);
	}
}

/** Name of an empty chain that says how the rules are built: any change of them gives another one. */
const MARK = markOf();

function markOf(): string {
	const names = namesOf("mark");
	const dns = { address: "198.18.0.1", port: 1 };
	const shared = baseRules({ names, addressRange: "198.18.0.0/22", operatorAllowCidrs: [], dns, proxyUid: 1 });
	const slot = slotRules({ names, index: 0, address: "198.18.0.2", generation: 1 });
	return `version_${createHash("sha256").update(shared).update(slot).digest("hex").slice(0, 16)}`;
}

/** Transactions that make the tables anew: with the slots' policies, and with every slot closed. */
async function rebuilt({ names, block }: InstanceRules, shared: string, signal: AbortSignal): Promise<[string, string]> {
	const { links, rules } = await findTraces(names, signal);
	const carried: string[] = [];
	const closed: string[] = [];
	for (const [index, generation] of rules.generations) {
		if (!links.has(index)) continue;
		const slot = slotRules({ names, index, address: block.slot(index), generation });
		const policy = await rulesIn(names, `policy_${index}`, signal);
		const redirect = await rulesIn(names, `redirect_${index}`, signal);
		closed.push(slot);
		carried.push(slot, ...(policy.length > 0 ? [chainRules(names, index, { policy, redirect })] : []));
	}
	const removal = ["ip", "netdev"].map((family) => `add table ${family} ${names.table}\ndelete table ${family} ${names.table}\n`);
	return [[...removal, shared, ...carried].join(""), [...removal, shared, ...closed].join("")];
}

/** Names of the chains of the instance's ip table; undefined when there is no such table. */
async function chainsOf(table: string, signal: AbortSignal): Promise<string[] | undefined> {
	const text = await listed(["table", "ip", table], signal);
	return text === undefined ? undefined : [...text.matchAll(/^\tchain (\S+) \{$/gm)].flatMap(([, name]) => name ?? []);
}

/** Rules of a chain as nft writes them; none when there is no such chain. */
async function rulesIn({ table }: InstanceNames, chain: string, signal: AbortSignal): Promise<string[]> {
	const text = (await listed(["chain", "ip", table, chain], signal)) ?? "";
	return [...text.matchAll(/^\t\t(.+)$/gm)].flatMap(([, rule]) => rule ?? []);
}

async function listed(object: readonly string[], signal: AbortSignal): Promise<string | undefined> {
	try {
		return (await run("nft", ["list", ...object], { signal })).stdout;
	} catch (error) {
		if (error instanceof CommandError && error.stderr.includes("No such file or directory")) return undefined;
		throw error;
	}
}
