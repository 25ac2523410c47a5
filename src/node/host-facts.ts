/** What machine a node runs on and how busy it is, as its kernel tells it. */
import { readFile, statfs } from "node:fs/promises";
import { arch, cpus, totalmem } from "node:os";
import type { HostFacts } from "./types.ts";

type Disk = HostFacts["disk"];
type Mount = Pick<Disk, "mountPoint" | "device" | "filesystemType">;

/** Since the machine was booted, ms. */
interface CpuTimes {
	readonly busy: number;
	readonly all: number;
}

export class HostProbe {
	readonly #dataDir: string;
	#before: CpuTimes = cpuTimes();

	/** @param dataDir the disk of this directory is the node's */
	constructor(dataDir: string) {
		this.#dataDir = dataDir;
	}

	async read(signal: AbortSignal): Promise<HostFacts> {
		signal.throwIfAborted();
		const memoryTotalBytes = totalmem();
		return {
			machine: await machineOf(signal),
			cpuCount: cpus().length,
			cpuPercent: this.#cpuPercent(),
			memoryTotalBytes,
			memoryUsedBytes: Math.max(0, memoryTotalBytes - process.availableMemory()),
			disk: await diskOf(this.#dataDir, signal),
		};
	}

	/** Since the last reading, or since the start of the node. */
	#cpuPercent(): number {
		const now = cpuTimes();
		const before = this.#before;
		this.#before = now;
		return now.all <= before.all ? 0 : (100 * (now.busy - before.busy)) / (now.all - before.all);
	}
}

function cpuTimes(): CpuTimes {
	let busy = 0;
	let all = 0;
	for (const { times } of cpus()) {
		const total = times.user + times.nice + times.sys + times.irq + times.idle;
		all += total;
		busy += total - times.idle;
	}
	return { busy, all };
}

async function machineOf(signal: AbortSignal): Promise<HostFacts["machine"]> {
	const text = await readFile("/proc/cpuinfo", { encoding: "utf8", signal });
	const field = (name: string) => new RegExp(`^${name}\\s*: (.*)$`, "m").exec(text)?.[1] ?? "";
	return {
		cpuFamily: field("cpu family"),
		cpuModel: field("model"),
		cpuModelName: field("model name"),
		cpuArchitecture: arch() === "x64" ? "x86_64" : arch(),
	};
}

async function diskOf(directory: string, signal: AbortSignal): Promise<Disk> {
	const { bsize, blocks, bfree } = await statfs(directory);
	const mount = mountOf(await readFile("/proc/self/mountinfo", { encoding: "utf8", signal }), directory);
	return { ...mount, totalBytes: blocks * bsize, usedBytes: (blocks - bfree) * bsize };
}

/** The mount that a directory is on. @param mountinfo as proc(5) has it: the last of several on one point is seen */
export function mountOf(mountinfo: string, directory: string): Mount {
	let found: Mount = { mountPoint: "/", device: "", filesystemType: "" };
	for (const line of mountinfo.split("\n")) {
		const [before = "", after = ""] = line.split(" - ");
		const mountPoint = before.split(" ")[4];
		const [filesystemType = "", device = ""] = after.split(" ");
		if (mountPoint === undefined || !isWithin(directory, mountPoint)) continue;
		if (mountPoint.length >= found.mountPoint.length) found = { mountPoint, device, filesystemType };
	}
	return found;
}

function isWithin(directory: string, mountPoint: string): boolean {
	return mountPoint === "/" || directory === mountPoint || directory.startsWith(`${mountPoint}/`);
}
