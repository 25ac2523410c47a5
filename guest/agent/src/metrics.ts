/** GET /metrics: what the sandbox uses, as its own kernel tells it. */
import { readdir, readFile, statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { now } from "./clock.ts";

const MIB = 1024 * 1024;

export interface Metrics {
	/** s since the epoch */
	readonly ts: number;
	readonly cpu_count: number;
	/** Of one second of one processor: 200 when two are busy. Since the call before. */
	readonly cpu_used_pct: number;
	/** bytes, as all sizes without a unit in their name */
	readonly mem_total: number;
	readonly mem_used: number;
	readonly mem_cache: number;
	readonly mem_total_mib: number;
	readonly mem_used_mib: number;
	readonly disk_used: number;
	readonly disk_total: number;
}

interface CpuSample {
	readonly at: number;
	/** Sum over all processors, ms. */
	readonly busyMs: number;
}

/** Clock ticks of /proc are 10 ms on every Linux that Node runs on: sysconf(_SC_CLK_TCK) is 100. */
const TICK_MS = 10;

export class MetricsReader {
	private last: CpuSample | undefined;

	async read(): Promise<Metrics> {
		const [cpu, memory, disk] = await Promise.all([this.cpuPercent(), readMemory(), statfs("/")]);
		return {
			ts: Math.floor(Date.now() / 1000),
			cpu_count: availableParallelism(),
			cpu_used_pct: cpu,
			...memory,
			mem_total_mib: Math.floor(memory.mem_total / MIB),
			mem_used_mib: Math.floor(memory.mem_used / MIB),
			disk_used: (disk.blocks - disk.bfree) * disk.bsize,
			disk_total: disk.blocks * disk.bsize,
		};
	}

	private async cpuPercent(): Promise<number> {
		const sample = { at: now(), busyMs: await readBusyMs() };
		const before = this.last;
		this.last = sample;
		if (before === undefined || sample.at <= before.at) return 0;
		const percent = ((sample.busyMs - before.busyMs) / (sample.at - before.at)) * 100;
		// Processes that ended in between take their time with them when it is summed over processes.
		return Math.round(Math.max(0, percent) * 100) / 100;
	}
}

async function readMemory(): Promise<Pick<Metrics, "mem_total" | "mem_used" | "mem_cache">> {
	const text = await readFile("/proc/meminfo", "utf8");
	const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
	const cache = bytes("Cached") + bytes("SReclaimable");
	const used = bytes("MemTotal") - bytes("MemFree") - bytes("Buffers") - cache;
	return { mem_total: bytes("MemTotal"), mem_used: Math.max(0, used), mem_cache: cache };
}

async function readBusyMs(): Promise<number> {
	const line = /^cpu +(.*)$/m.exec(await readFile("/proc/stat", "utf8"))?.[1] ?? "";
	const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0, steal = 0] = line.split(" ").map(Number);
	const busy = user + nice + system + irq + softirq + steal;
	// gVisor keeps no totals: there the line is all zeros.
	return busy + idle + wait > 0 ? busy * TICK_MS : await sumOverProcesses();
}

async function sumOverProcesses(): Promise<number> {
	const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
	const ticks = await Promise.all(pids.map(processTicks));
	return ticks.reduce((sum, each) => sum + each, 0) * TICK_MS;
}

async function processTicks(pid: string): Promise<number> {
	const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
	// The name may hold spaces and parentheses; utime and stime are the 12th and 13th field after it: proc(5).
	const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
	return Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
}
