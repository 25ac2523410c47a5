/** What a process on this machine holds, for comparisons of before and after. */
import { readdir, readFile, writeFile } from "node:fs/promises";
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
