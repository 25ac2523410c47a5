/** What a process on this machine holds, for comparisons of before and after. */
import { readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Bytes resident now. */
export async function residentBytes(pid: number): Promise<number> {
	return statusBytes(pid, "VmRSS");
}

/** Most bytes that were resident since the start, or since `forgetPeak`. */
export async function peakBytes(pid: number): Promise<number> {
	return statusBytes(pid, "VmHWM");
}

export async function forgetPeak(pid: number): Promise<void> {
	// Source: proc_pid_clear_refs(5).
	await writeFile(`/proc/${pid}/clear_refs`, "5");
}

export async function descriptors(pid: number): Promise<number> {
	return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Those that are no connection of a client to `port`: clients keep theirs open for later. */
export async function descriptorsBesideClients(pid: number, port: number): Promise<number> {
	const tables = await Promise.all(["tcp", "tcp6"].map((name) => readFile(`/proc/net/${name}`, "utf8")));
	const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
	const rows = tables.flatMap((table) => table.split("\n")).map((row) => row.trim().split(/\s+/));
	const clients = new Set(rows.filter(([, address]) => address?.endsWith(local)).map((row) => `socket:[${row[9]}]`));
	const names = await readdir(`/proc/${pid}/fd`);
	const targets = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => undefined)));
	return targets.filter((target) => target !== undefined && !clients.has(target)).length;
}

async function statusBytes(pid: number, field: string): Promise<number> {
	const status = await readFile(`/proc/${pid}/status`, "utf8");
	const kib = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
	if (kib === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
	return Number(kib) * 1024;
}

export function mib(bytes: number): string {
	return `${Math.round(bytes / 1024 / 1024)} MiB`;
}

/** The process of the server on this data directory. */
export async function serverPid(dataDir: string): Promise<number> {
	const { process } = JSON.parse(await readFile(join(dataDir, "server.json"), "utf8"));
	return Number(process.pid);
}
