/** Checks for `doctor`: can this host carry slots? Each tries the real thing where nothing on the host is changed. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { CommandError, run } from "../command.ts";
import { chainEnd, foreignChains, listRules } from "./foreign-firewall.ts";
import { AddressBlock, namesOf, proxyUidOf } from "./names.ts";
import { policyRules } from "./policy-rules.ts";
import { baseRules, slotRules } from "./rules.ts";

/** What was found, for people, and what to do about it when something is wrong. */
export type ProbeResult =
	| { readonly ok: true; readonly detail: string }
	| { readonly ok: false; readonly detail: string; readonly fix: string };

/** Namespaces and veth pairs. */
export async function probeNetns(signal: AbortSignal): Promise<ProbeResult> {
	try {
		await inScratchNamespace(signal, async (netns) => {
			await run("ip", ["-n", netns, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"], { signal });
		});
		return { ok: true, detail: "network namespaces and veth pairs can be made" };
	} catch (error) {
		signal.throwIfAborted();
		return {
			ok: false,
			detail: `a network namespace with a veth pair cannot be made: ${describe(error)}`,
			fix: fixFor(error, "ip", "iproute2", "modprobe veth; run as root; in a container, run it privileged"),
		};
	}
}

/** Loads the complete rules, with ingress and egress hooks, into a namespace of their own. */
export async function probeNetdevEgress(signal: AbortSignal): Promise<ProbeResult> {
	try {
		await inScratchNamespace(signal, async (netns) => {
			await run("ip", ["-n", netns, "link", "add", `${PROBE.linkPrefix}0`, "type", "veth", "peer", "name", "probe1"], { signal });
			await run("ip", ["netns", "exec", netns, "nft", "-f", "-"], { input: probeRules(), signal });
		});
		return { ok: true, detail: "nftables with netdev ingress and egress hooks works" };
	} catch (error) {
		signal.throwIfAborted();
		const fix = fixFor(
			error,
			"nft",
			"nftables",
			"use a kernel of 5.16 or later with nftables (CONFIG_NETFILTER_EGRESS, CONFIG_NFT_FIB_IPV4)",
		);
		return { ok: false, detail: `nftables refuses the rules of sandboxes: ${describe(error)}`, fix };
	}
}

/** Whether another firewall would stop forwarded packets, and whether the server can do something about it. */
export async function probeForwardPolicy(signal: AbortSignal): Promise<ProbeResult> {
	try {
		if (await legacyForwardDrops(signal)) {
			return {
				ok: false,
				detail: "iptables-legacy drops forwarded packets, which nftables cannot override",
				fix: "iptables-legacy -I FORWARD -i 'os+' -j ACCEPT; iptables-legacy -I FORWARD -o 'os+' -j ACCEPT",
			};
		}
		return await probeNftForward(signal);
	} catch (error) {
		signal.throwIfAborted();
		const detail = `other firewalls cannot be looked at: ${describe(error)}`;
		return { ok: false, detail, fix: fixFor(error, "nft", "nftables", "run as root") };
	}
}

async function probeNftForward(signal: AbortSignal): Promise<ProbeResult> {
	const dropping: string[] = [];
	for (const chain of await foreignChains(signal)) {
		const { family, table, name } = chain;
		const end = chainEnd(chain, await listRules(chain, signal));
		if (end.kind === "open") continue;
		const label = `${family} ${table} ${name}`;
		dropping.push(label);
		const trial = `add rule ${family} ${table} ${name} iifname "${PROBE.linkPrefix}*" accept\n`;
		try {
			await run("nft", ["-c", "-f", "-"], { input: trial, signal });
		} catch {
			signal.throwIfAborted();
			return {
				ok: false,
				detail: `the chain "${label}" drops packets of sandboxes and belongs to a program that lets nobody change it`,
				fix: "with firewalld: set NftablesTableOwner=no in /etc/firewalld/firewalld.conf and restart it, or firewall-cmd --permanent --zone=trusted --add-source=198.18.0.0/15 && firewall-cmd --reload",
			};
		}
	}
	if (dropping.length === 0) return { ok: true, detail: "no other firewall drops forwarded packets" };
	return {
		ok: true,
		detail: `other firewalls drop by default (${dropping.join(", ")}): the server adds a rule for its own slots`,
	};
}

/**
 * The policy of iptables' old tables, which are invisible to nft. Asked only when the tables are in use: asking would
 * bring them into being.
 */
async function legacyForwardDrops(signal: AbortSignal): Promise<boolean> {
	try {
		if (!(await readFile("/proc/net/ip_tables_names", "utf8")).split("\n").includes("filter")) return false;
		const { stdout } = await run("iptables-legacy", ["-S", "FORWARD"], { signal });
		return stdout.includes("-P FORWARD DROP") && !stdout.includes("-A FORWARD -i os+ -j ACCEPT");
	} catch {
		signal.throwIfAborted();
		return false;
	}
}

const PROBE = namesOf("probe");

function probeRules(): string {
	const names = PROBE;
	const addressRange = "198.18.0.0/22";
	const block = new AddressBlock(addressRange);
	const dns = { address: block.dns, port: 53 };
	return [
		baseRules({ names, addressRange, operatorAllowCidrs: [], dns, proxyUid: proxyUidOf(addressRange) }),
		slotRules({ names, index: 0, address: block.slot(0), generation: 1 }),
		policyRules(names, 0, { internet: true, allowCidrs: [], denyCidrs: [] }),
	].join("");
}

async function inScratchNamespace(signal: AbortSignal, work: (netns: string) => Promise<void>): Promise<void> {
	const netns = `offshoot-probe-${randomBytes(4).toString("hex")}`;
	await run("ip", ["netns", "add", netns], { signal });
	try {
		await work(netns);
	} finally {
		await run("ip", ["netns", "del", netns], { signal: AbortSignal.timeout(10_000) });
	}
}

function describe(error: unknown): string {
	// nft goes on with the whole rule, over several lines.
	if (error instanceof CommandError && error.stderr !== "") return error.stderr.trim().split("\n")[0] ?? error.message;
	return error instanceof Error ? error.message : String(error);
}

function fixFor(error: unknown, program: string, aptPackage: string, otherwise: string): string {
	const missing = error instanceof CommandError && error.exitCode === undefined && error.message.includes("ENOENT");
	return missing ? `apt-get install ${aptPackage} (the program ${program} is missing)` : otherwise;
}
