/** The dynamic loader and the shared libraries that programs need, found by the build host's own loader. */
import { execFile } from "node:child_process";
import { copyFile, realpath } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { OffshootError } from "../../../src/protocol/index.ts";

export interface Dependencies {
	/** Path of the loader (ld-linux). */
	readonly loader: string;
	/** Paths of libraries by the name under which they are looked up. */
	readonly libraries: ReadonlyMap<string, string>;
}

/** Looked up at run time by the C library, which before version 2.34 keeps them in files of their own. */
const OPTIONAL = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"];

/** @throws OffshootError not_found naming the library that is missing on this machine */
export async function findDependencies(programs: readonly string[], signal: AbortSignal): Promise<Dependencies> {
	const libraries = new Map<string, string>();
	let loader: string | undefined;
	for (const program of programs) {
		for (const { name, path } of await readLdd(program, signal)) {
			if (path === undefined) throw missing(name, program);
			if (/^ld-linux/.test(basename(name))) loader = path;
			else libraries.set(basename(name), path);
		}
	}
	if (loader === undefined) throw new OffshootError("internal", `${programs[0]} is not a dynamic program of this machine`);
	await addOptional(libraries);
	return { loader, libraries };
}

function missing(library: string, program: string): OffshootError {
	const fix = library.startsWith("libatomic") ? ": apt-get install libatomic1" : "";
	return new OffshootError("not_found", `${program} needs ${library}, which this machine lacks${fix}`);
}

interface Line {
	readonly name: string;
	readonly path: string | undefined;
}

/** Lines are `name => path (address)`, `name => not found` or `path (address)`. */
async function readLdd(program: string, signal: AbortSignal): Promise<Line[]> {
	const { stdout } = await promisify(execFile)("ldd", [program], { signal });
	return stdout.split("\n").flatMap((line) => {
		const [name, target] = line.trim().split(" => ");
		if (!name || name.startsWith("linux-vdso")) return [];
		const found = (target ?? name).split(" (")[0];
		return [{ name: name.split(" (")[0] ?? name, path: found?.startsWith("/") ? found : undefined }];
	});
}

async function addOptional(libraries: Map<string, string>): Promise<void> {
	const libc = libraries.get("libc.so.6");
	if (libc === undefined) return;
	for (const name of OPTIONAL) {
		const path = await realpath(join(libc, "..", name)).catch(() => undefined);
		if (path !== undefined) libraries.set(name, path);
	}
}

export async function copyLibraries({ libraries }: Dependencies, directory: string): Promise<void> {
	for (const [name, path] of libraries) await copyFile(await realpath(path), join(directory, name));
}
