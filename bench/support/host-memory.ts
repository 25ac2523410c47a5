import { readdir, readFile } from "node:fs/promises";

/** Memory of one guest process, as this host sees it: bytes. */
export interface Resident {
	readonly total: number;
	/** Of it, the pages of the program's file, which all processes of that program on the host share. */
	readonly program: number;
}

/**
 * The guest's processes that run `program`, largest first. gVisor keeps each guest address space as processes of the
 * host below the sandbox's own; what the guest itself reports counts whole mappings as soon as one page was touched.
 */
export async function residentGuestProcesses(sandboxPid: number, program: string): Promise<readonly Resident[]> {
	const found: Resident[] = [];
	for (const pid of await descendants(sandboxPid)) {
		const maps = await readFile(`/proc/${pid}/smaps`, "utf8").catch(() => "");
		const resident = parseSmaps(maps, program);
		if (resident.program > 0) found.push(resident);
	}
	return found.sort((a, b) => b.total - a.total);
}

function parseSmaps(text: string, program: string): Resident {
	let path = "";
	const resident = { total: 0, program: 0 };
	for (const line of text.split("\n")) {
		path = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$/.exec(line)?.[1] ?? path;
		const bytes = Number(/^Rss:\s+(\d+) kB/.exec(line)?.[1] ?? 0) * 1024;
		resident.total += bytes;
		if (path.endsWith(program)) resident.program += bytes;
	}
	return resident;
}

async function descendants(root: number): Promise<readonly number[]> {
	const parents = new Map<number, number>();
	for (const name of await readdir("/proc")) {
		const stat = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, "latin1").catch(() => "") : "";
		const parent = /^.*\) \S (\d+)/.exec(stat)?.[1];
		if (parent !== undefined) parents.set(Number(name), Number(parent));
	}
	const below = (pid: number): boolean => {
		const parent = parents.get(pid);
		return parent !== undefined && (parent === root || below(parent));
	};
	return [...parents.keys()].filter(below);
}
