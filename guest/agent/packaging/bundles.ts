/** The programs of the guest, each as one file. */
import { copyFile, cp, mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BuildOptions, build } from "esbuild";
import { interpreterBundles } from "../../interpreter/bundles.ts";
import { replaceCrypto } from "./crypto.ts";
import { readDescriptorsAhead } from "./descriptors.ts";
import { findAddon, loadAddonBeside } from "./zeromq.ts";

const GUEST = join(import.meta.dirname, "../..");

const COMMON: BuildOptions = {
	bundle: true,
	platform: "node",
	target: "node24",
	// The source stays in memory as long as the program runs.
	minify: true,
	legalComments: "external",
	logLevel: "silent",
};

export async function bundleAgent(directory: string): Promise<void> {
	await mkdir(directory, { recursive: true });
	const entryPoints = [join(GUEST, "agent/src/main.ts")];
	const outfile = join(directory, "main.js");
	await build({ ...COMMON, entryPoints, format: "cjs", outfile, plugins: [readDescriptorsAhead, replaceCrypto] });
	await writeFile(join(directory, "package.json"), `${JSON.stringify({ type: "commonjs" })}\n`);
}

/** The interpreter with its JavaScript and Python kernels. */
export async function bundleInterpreter(directory: string): Promise<void> {
	await mkdir(directory, { recursive: true });
	for (const options of interpreterBundles(directory)) {
		await build({ ...COMMON, ...options, plugins: [...(options.plugins ?? []), loadAddonBeside] });
	}
	await copyFile(await findAddon(), join(directory, "zeromq.node"));
	await cp(join(GUEST, "interpreter/python"), join(directory, "python"), {
		recursive: true,
		filter: (path) => !path.endsWith("__pycache__") && !path.endsWith(".pyc"),
	});
	await writeFile(join(directory, "package.json"), `${JSON.stringify({ type: "commonjs" })}\n`);
}

export async function exists(path: string): Promise<boolean> {
	return await stat(path).then(
		() => true,
		() => false,
	);
}
