/** What the checks ask of the host. None of these changes it beyond the moment of the call. */
import { readdir, readFile, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { CommandError, run } from "../../engine/index.ts";
import { parseManifest } from "../../store/index.ts";
import type { CgroupFacts } from "./host-checks.ts";
import type { ForwardFacts } from "./network-checks.ts";

export async function probeCgroups(): Promise<CgroupFacts> {
	const unified = await readFile("/sys/fs/cgroup/cgroup.controllers", "utf8").catch(() => undefined);
	if (unified !== undefined) return { version: 2, controllers: unified.trim().split(" ") };
	// Version 1 mounts each controller apart and names it in the mount's options.
	const mounts = (await readFile("/proc/mounts", "utf8")).split("\n").map((line) => line.split(" "));
	const options = mounts.filter(([, , type]) => type === "cgroup").flatMap(([, , , options]) => options?.split(",") ?? []);
	return options.length > 0 ? { version: 1, controllers: options } : { version: undefined, controllers: [] };
}

/** Bytes free on the disk that holds `path`, or will hold it once it is made. */
export async function probeDisk(path: string): Promise<number> {
	const stats = await statfs(path).catch(() => undefined);
	if (stats !== undefined) return stats.bavail * stats.bsize;
	return path === dirname(path) ? 0 : probeDisk(dirname(path));
}

/** Code of the error that listening there gives; undefined when it works. */
export function probePort(bind: string, port: number): Promise<string | undefined> {
	const { promise, resolve } = Promise.withResolvers<string | undefined>();
	const server = createServer();
	server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
	server.listen({ host: bind, port, exclusive: true }, () => server.close(() => resolve(undefined)));
	return promise;
}

export interface NetworkFacts {
	readonly namespaces: string | undefined;
	readonly netdevEgress: string | undefined;
}

/** Makes a namespace with a veth pair and netdev hooks in it, and removes it: rules of the host are not touched. */
export async function probeNetwork(signal: AbortSignal): Promise<NetworkFacts> {
	const name = `offshoot-doctor-${process.pid}`;
	const inside = ["netns", "exec", name];
	try {
		const namespaces =
			(await problemOf("ip", ["netns", "add", name], signal)) ??
			(await problemOf("ip", ["-n", name, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"], signal));
		if (namespaces !== undefined) return { namespaces, netdevEgress: "it is tried in a network namespace, which cannot be made" };
		const hooks = ["ingress", "egress"].map(
			(hook) => `chain ${hook} { type filter hook ${hook} device probe0 priority 0; ip daddr set 169.254.0.21; }\n`,
		);
		const rules = `table netdev offshoot_doctor {\n${hooks.join("")}}\n`;
		return { namespaces, netdevEgress: await problemOf("ip", [...inside, "nft", rules], signal) };
	} finally {
		await run("ip", ["netns", "delete", name], { signal: AbortSignal.timeout(10_000) }).catch(() => {});
	}
}

async function problemOf(file: string, args: readonly string[], signal: AbortSignal): Promise<string | undefined> {
	try {
		await run(file, args, { signal });
		return undefined;
	} catch (error) {
		signal.throwIfAborted();
		if (error instanceof CommandError) return error.stderr.trim().split("\n")[0] || error.message;
		throw error;
	}
}

export async function probeForwarding(signal: AbortSignal): Promise<ForwardFacts> {
	const listing = await run("nft", ["list", "chains"], { signal });
	return { dropping: droppingTables(listing.stdout), legacyDrops: await legacyDrops(signal) };
}

/** Tables of `nft list chains` with a chain on the forward hook whose policy is drop. */
export function droppingTables(listing: string): readonly string[] {
	const tables = listing.matchAll(/^table (?<name>.+) \{\n(?<chains>(?:\t.*\n)*)/gm);
	return [...tables]
		.filter(({ groups }) => /hook forward priority [^;]+; policy drop;/.test(groups?.chains ?? ""))
		.map(({ groups }) => groups?.name ?? "");
}

async function legacyDrops(signal: AbortSignal): Promise<boolean> {
	// The file lists the tables in use; asking iptables-legacy would bring the table into being.
	const tables = await readFile("/proc/net/ip_tables_names", "utf8").catch(() => "");
	if (!tables.split("\n").includes("filter")) return false;
	const rules = await run("iptables-legacy", ["-S", "FORWARD"], { signal }).catch(() => undefined);
	return rules?.stdout.startsWith("-P FORWARD DROP") ?? false;
}

/** Names of the templates that have a published artifact. */
export async function probeTemplates(dataDir: string): Promise<readonly string[]> {
	const artifacts = join(dataDir, "artifacts");
	const names: string[] = [];
	for (const id of await readdir(artifacts).catch(() => [])) {
		const text = await readFile(join(artifacts, id, "manifest.json"), "utf8").catch(() => undefined);
		if (text === undefined) continue;
		const { kind, templateName } = parseManifest(text, join(artifacts, id, "manifest.json"));
		if (kind === "template" && templateName !== undefined) names.push(templateName);
	}
	return names;
}
