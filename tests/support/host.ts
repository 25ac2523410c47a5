import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Everything on the host that carries an instance's id. */
export interface HostTraces {
	readonly namespaces: readonly string[];
	readonly links: readonly string[];
	readonly tables: readonly string[];
	readonly mounts: readonly string[];
	readonly processes: readonly string[];
}

/** Looks for traces of one instance on the host. */
export async function hostTraces(instance: string): Promise<HostTraces> {
	const has = (line: string) => line.includes(instance);
	const [namespaces, links, tables, mounts] = await Promise.all([
		readdir("/run/netns").catch(() => []),
		execute("ip", ["-o", "link"]).then(({ stdout }) => stdout.split("\n")),
		execute("nft", ["list", "tables"]).then(({ stdout }) => stdout.split("\n")),
		readFile("/proc/self/mounts", "utf8").then((text) => text.split("\n")),
	]);
	return {
		namespaces: namespaces.filter(has),
		links: links.filter(has),
		tables: tables.filter(has),
		mounts: mounts.filter(has),
		processes: await engineProcesses(instance),
	};
}

/** Command lines of engine processes whose state lives in the instance's runtime directory. */
async function engineProcesses(instance: string): Promise<string[]> {
	const found: string[] = [];
	for (const pid of await readdir("/proc")) {
		if (!/^\d+$/.test(pid)) continue;
		const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
		if (line.includes("runsc") && line.includes(`/run/offshoot/${instance}/`))
			found.push(`${pid} ${line.replaceAll("\0", " ").slice(0, 120)}`);
	}
	return found;
}

/** What the node has written down of a container. */
interface ContainerRecord {
	readonly sandboxId: string;
	readonly pid: number;
	readonly slot: { readonly address: string };
}

/** Containers in which a sandbox lives, as the node has written them down. @throws Error when one has no process */
export async function containersOf(instance: string): Promise<readonly ContainerRecord[]> {
	const dir = `/run/offshoot/${instance}/containers`;
	const names = (await readdir(dir)).filter((name) => name.endsWith(".json"));
	const containers = await Promise.all(names.map(async (name) => JSON.parse(await readFile(join(dir, name), "utf8"))));
	for (const { pid } of containers) await readFile(`/proc/${pid}/stat`);
	return containers;
}

/** The address under which the host, and it alone, reaches a sandbox of the server with this data directory. */
export async function slotAddress(dataDir: string, sandboxId: string): Promise<string> {
	const dir = `/run/offshoot/${(await readFile(join(dataDir, "instance"), "utf8")).trim()}/containers`;
	for (const name of await readdir(dir)) {
		const record: ContainerRecord | undefined =
			JSON.parse(await readFile(join(dir, name), "utf8").catch(() => "null")) ?? undefined;
		if (record?.sandboxId === sandboxId) return record.slot.address;
	}
	throw new Error(`no container of ${sandboxId}`);
}

/** Counts for before-and-after comparisons. */
export async function hostCounts(instance: string): Promise<Record<keyof HostTraces, number>> {
	const traces = await hostTraces(instance);
	return {
		namespaces: traces.namespaces.length,
		links: traces.links.length,
		tables: traces.tables.length,
		mounts: traces.mounts.length,
		processes: traces.processes.length,
	};
}
