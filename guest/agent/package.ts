/**
 * Packages the guest: a tree for /opt/offshoot that runs in any root filesystem, also one without a C library. It holds
 * the daemon, sysd, the code interpreter, and the Node, loader and libraries they run on. No program in it is called
 * after Node, so that `pkill node` in a sandbox ends the user's programs only.
 *
 * As a program: `node guest/agent/package.ts OUTDIR [NODE]`
 */
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { OffshootError } from "../../src/protocol/index.ts";
import { bundleAgent, bundleInterpreter, exists } from "./packaging/bundles.ts";
import { buildAddon, buildPreload, buildSysd } from "./packaging/compile.ts";
import { copyLibraries, findDependencies } from "./packaging/libraries.ts";
import { treeVersion } from "./packaging/version.ts";
import { findAddon } from "./packaging/zeromq.ts";

export interface PackageOptions {
	/** The Node that will run in sandboxes. */
	readonly nodeBinary: string;
	/** Made by this call; its content becomes /opt/offshoot. */
	readonly outDir: string;
}

export interface PackagedGuest {
	/** Version of the package and digest of the tree; also in the tree's file VERSION. */
	readonly version: string;
}

/** Static programs of this machine's packages. */
const STATIC_PROGRAMS = [
	{ name: "tini", path: "/usr/bin/tini-static", package: "tini" },
	{ name: "busybox", path: "/usr/bin/busybox", package: "busybox-static" },
] as const;

/** The loader under the names that the programs shall have in the process list (at most 15 bytes). */
const LOADER_NAMES = ["offshoot-agentd", "offshoot-interp", "offshoot-kernel"] as const;

/** @throws OffshootError not_found naming the package that this machine lacks */
export async function packageGuest({ nodeBinary, outDir }: PackageOptions, signal: AbortSignal): Promise<PackagedGuest> {
	const bin = join(outDir, "bin");
	const lib = join(outDir, "lib");
	for (const directory of [bin, lib]) await mkdir(directory, { recursive: true });

	for (const program of STATIC_PROGRAMS) await copyStatic(program, bin);
	await buildSysd(join(bin, "offshoot-sysd"), signal);
	await copyProgram(join(import.meta.dirname, "packaging/init.sh"), join(bin, "init"));

	const dependencies = await findDependencies([nodeBinary, await findAddon()], signal);
	await copyProgram(nodeBinary, join(bin, "runtime"));
	for (const name of LOADER_NAMES) await copyProgram(dependencies.loader, join(bin, name));
	await copyLibraries(dependencies, lib);
	await buildPreload(join(lib, "preload.so"), signal);
	await buildAddon(join(lib, "addon.node"), signal);
	await copyFile(join(import.meta.dirname, "preload/start.cjs"), join(lib, "start.cjs"));

	await bundleAgent(join(outDir, "agent"));
	await bundleInterpreter(join(outDir, "interpreter"));

	const version = await treeVersion(outDir, signal);
	await writeFile(join(outDir, "VERSION"), `${version}\n`);
	return { version };
}

async function copyStatic(program: (typeof STATIC_PROGRAMS)[number], bin: string): Promise<void> {
	if (!(await exists(program.path))) {
		throw new OffshootError("not_found", `${program.path} is missing: apt-get install ${program.package}`);
	}
	await copyProgram(program.path, join(bin, program.name));
}

async function copyProgram(from: string, to: string): Promise<void> {
	await copyFile(from, to);
	await chmod(to, 0o755);
}

if (import.meta.main) {
	const [outDir, nodeBinary = process.execPath] = process.argv.slice(2);
	if (outDir === undefined) {
		process.stderr.write("usage: node guest/agent/package.ts OUTDIR [NODE]\n");
		process.exit(2);
	}
	const { version } = await packageGuest({ nodeBinary, outDir }, AbortSignal.timeout(600_000));
	process.stdout.write(`${version}\n`);
}
