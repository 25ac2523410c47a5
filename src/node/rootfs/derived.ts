/** A layer on top of another template's: a copy of its tree, then Python packages. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { OffshootError } from "../../protocol/index.ts";
import { type CachedTree, removeTree } from "./cache.ts";
import { openChroot, SCRATCH_INSIDE } from "./chroot.ts";
import type { DerivedTemplate } from "./definition.ts";
import { treeDigest } from "./digest.ts";
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
