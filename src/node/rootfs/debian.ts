/** The first layer of a template: Debian packages, the template's files, Node and npm. */
import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { removeTree } from "./cache.ts";
import type { DebianTemplate } from "./definition.ts";
import { aptAcquireSettings } from "./host-network.ts";
import { run, runIsolated } from "./run.ts";

const MIRROR = "http://deb.debian.org/debian";
const SECURITY_MIRROR = "http://deb.debian.org/debian-security";
const DPKG_SETTINGS = "etc/dpkg/dpkg.cfg.d/offshoot";

/** What a build leaves behind and a root filesystem must not have: settings of this machine, logs, device nodes. */
const LEFTOVERS = [
	"etc/apt/apt.conf.d/99mmdebstrap",
	"etc/apt/sources.list",
	"etc/dpkg/dpkg.cfg.d/99mmdebstrap",
	"var/cache/ldconfig",
	"var/lib/dbus/machine-id",
	"var/log/apt",
	"var/log/bootstrap.log",
	"var/log/dpkg.log",
	"var/log/alternatives.log",
	"var/log/fontconfig.log",
];

/** Unpacks and configures the packages of `definition` into `tree`. Starts anew when repeated. */
export async function bootstrapDebian(
	definition: DebianTemplate,
	tree: string,
	scratch: string,
	signal: AbortSignal,
): Promise<void> {
	await removeTree(tree);
	await mkdir(scratch, { recursive: true });
	const aptSettings = join(scratch, "apt.conf");
	await writeFile(aptSettings, `${await aptAcquireSettings(signal)}\nAcquire::Retries "3";\nAPT::Install-Recommends "false";\n`);
	const { suite, packages } = definition.debian;
	await runIsolated(
		[
			"mmdebstrap",
			"--mode=root",
			"--variant=minbase",
			"--format=directory",
			`--aptopt=${aptSettings}`,
			...(definition.files ? [`--dpkgopt=${join(definition.files, DPKG_SETTINGS)}`] : []),
			`--include=${packages.join(",")}`,
			suite,
			tree,
			`deb ${MIRROR} ${suite} main`,
			`deb ${MIRROR} ${suite}-updates main`,
			`deb ${SECURITY_MIRROR} ${suite}-security main`,
		],
		{ signal, env: process.env },
	);
	await removeLeftovers(tree);
	for (const node of await readdir(join(tree, "dev"))) await rm(join(tree, "dev", node), { recursive: true });
}

/** Removes what installing packages leaves behind and no sandbox needs. */
export async function removeLeftovers(tree: string): Promise<void> {
	for (const path of LEFTOVERS) await rm(join(tree, path), { recursive: true, force: true });
}

/** Copies a template's files into `tree`, owned by root, with the modes that version control knows: 0644 and 0755. */
export async function placeFiles(files: string, tree: string, signal: AbortSignal): Promise<void> {
	const entries = await readdir(files, { recursive: true, withFileTypes: true });
	for (const entry of entries.filter((candidate) => candidate.isFile())) {
		const source = join(entry.parentPath, entry.name);
		const executable = ((await stat(source)).mode & 0o100) !== 0;
		await placeFile(source, join(tree, source.slice(files.length)), executable ? "755" : "644", signal);
	}
}

/** Copies `nodeBinary` and the given npm to where every program of the sandbox finds them. */
export async function placeNode(
	source: { readonly nodeBinary: string; readonly npmVersion: string },
	tree: string,
	scratch: string,
	signal: AbortSignal,
): Promise<void> {
	const bin = join(tree, "usr/local/bin");
	const modules = join(tree, "usr/local/lib/node_modules/npm");
	await placeFile(source.nodeBinary, join(bin, "node"), "755", signal);
	await mkdir(scratch, { recursive: true });
	// This machine's npm fetches and verifies the package, so its own registry settings hold.
	const npm = ["npm", "pack", `npm@${source.npmVersion}`, "--silent", "--pack-destination", scratch] as const;
	await run(npm, { signal, env: process.env, cwd: scratch });
	await run(["install", "-d", "-m", "755", modules], { signal });
	const archive = join(scratch, `npm-${source.npmVersion}.tgz`);
	await run(["tar", "-xzf", archive, "--strip-components=1", "--no-same-owner", "-C", modules], { signal });
	for (const name of ["npm", "npx"]) {
		await run(["ln", "-sfn", `../lib/node_modules/npm/bin/${name}-cli.js`, join(bin, name)], { signal });
	}
}

/** `install` puts a new file in place of an old one: the old one may be shared with another tree. */
async function placeFile(source: string, target: string, mode: string, signal: AbortSignal): Promise<void> {
	await run(["install", "-D", "-m", mode, "--", source, target], { signal });
}
