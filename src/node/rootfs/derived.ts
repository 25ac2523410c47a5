/** A layer on top of another template's: a copy of its tree, then packages of Debian and of Python, then the Java kernel. */
import { copyFile, cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { JAVA_KERNEL, OffshootError } from "../../protocol/index.ts";
import { type CachedTree, removeTree } from "./cache.ts";
import { openChroot, SCRATCH_INSIDE } from "./chroot.ts";
import { removeLeftovers } from "./debian.ts";
import type { DerivedTemplate } from "./definition.ts";
import { treeDigest } from "./digest.ts";
import { aptAcquireSettings, moveAptPaths } from "./host-network.ts";
import { run } from "./run.ts";

/** Directories whose files programs change in place; everywhere else package managers replace files. */
const CHANGED_IN_PLACE = ["etc", "home", "root", "var"];

/**
 * Makes `tree` a copy of `parent` that may be added to: files are shared through hard links, except where programs
 * write into existing ones. After the build `assertUntouched` proves that the parent did not change.
 */
export async function copyParent(parent: CachedTree, tree: string, signal: AbortSignal): Promise<void> {
	await run(["cp", "-al", "--", parent.path, tree], { signal });
	for (const name of CHANGED_IN_PLACE) {
		await removeTree(join(tree, name));
		await run(["cp", "-a", "--", join(parent.path, name), join(tree, name)], { signal });
	}
}

/** Throws if a build changed the tree that it started from: whatever was made from that tree is worthless then. */
export async function assertUntouched(parent: CachedTree, signal: AbortSignal): Promise<void> {
	if ((await treeDigest(parent.path, signal)) === parent.digest) return;
	throw new OffshootError(
		"internal",
		`The build changed files of ${parent.path}: remove that directory's parent and start again`,
	);
}

/** Downloads and installs the template's Debian packages and what they need. */
export async function installDebian(
	definition: DerivedTemplate,
	tree: string,
	scratch: string,
	signal: AbortSignal,
): Promise<void> {
	const { packages, exclude } = definition.debian;
	const { settings, paths } = moveAptPaths(await aptAcquireSettings(signal));
	const chroot = await openChroot(tree, scratch, paths);
	const excluded = exclude.map((pattern) => `DPkg::Options:: "--path-exclude=${pattern}";`);
	const choices = ['APT::Install-Recommends "false";', 'APT::Get::Assume-Yes "true";', ...excluded];
	await writeFile(join(scratch, "apt.conf"), [settings, ...choices, ""].join("\n"));
	const script = `
		export APT_CONFIG=${SCRATCH_INSIDE}/apt.conf
		apt-get -q update
		apt-get -q install "$@"
		apt-get clean
		rm -rf /var/lib/apt/lists/*
		mkdir -p /var/lib/apt/lists/partial`;
	await chroot.run(["sh", "-euc", script, "sh", ...packages], signal);
	await removeLeftovers(tree);
}

/** Downloads and installs the template's Python packages for every user. */
export async function installPython(
	definition: DerivedTemplate,
	tree: string,
	scratch: string,
	signal: AbortSignal,
): Promise<void> {
	const chroot = await openChroot(tree, scratch);
	const requirements: string[] = [];
	await mkdir(join(scratch, "requirements"), { recursive: true });
	for (const [index, file] of definition.pythonRequirements.entries()) {
		const name = `requirements/${index}.txt`;
		await copyFile(file, join(scratch, name));
		requirements.push("--requirement", `${SCRATCH_INSIDE}/${name}`);
	}
	await chroot.run(["python3", "-m", "pip", "install", "--no-cache-dir", "--no-compile", "--no-input", ...requirements], signal);
}

/** Leaves out what nobody runs, and compiles the rest once here instead of at every start of Python. */
export async function compilePython(
	definition: DerivedTemplate,
	tree: string,
	scratch: string,
	signal: AbortSignal,
): Promise<void> {
	const chroot = await openChroot(tree, scratch);
	// Some libraries ship files that are no valid Python: they stay uncompiled.
	const script = `
		cd /usr/local/lib/python3*/dist-packages
		rm -rf -- "$@"
		python3 -m compileall -q -j0 . >/dev/null || true`;
	await chroot.run(["sh", "-euc", script, "sh", ...definition.pythonPrune], signal);
}

/**
 * Compiles the Java kernel, and stores its classes as they look in memory: a kernel that maps them starts in half the time.
 * The settings of the run that stores them are those that the sandbox's Java must have to use them.
 */
export async function compileJavaKernel(
	definition: DerivedTemplate,
	tree: string,
	scratch: string,
	signal: AbortSignal,
): Promise<void> {
	const chroot = await openChroot(tree, scratch);
	await cp(definition.javaKernel, join(scratch, "java"), { recursive: true });
	const script = `
		cd ${SCRATCH_INSIDE}
		mkdir -p "$(dirname "$1")"
		javac -d classes java/offshoot/*.java
		jar --create --file "$1" --manifest java/manifest.txt -C classes .
		java -XX:+UseSerialGC -Xmx128m -XX:-UsePerfData -XX:ArchiveClassesAtExit="\${1%.jar}.jsa" -jar "$1" --train`;
	await chroot.run(["sh", "-euc", script, "sh", JAVA_KERNEL], signal);
}
