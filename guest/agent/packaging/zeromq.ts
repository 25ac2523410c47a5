/** How zeromq's native part comes into a bundle: its own loader looks for a build directory, which a bundle lacks. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Plugin } from "esbuild";
import { OffshootError } from "../../../src/protocol/index.ts";

/** The prebuilt binary for this machine's architecture and the GNU C library. @throws OffshootError not_found */
export async function findAddon(): Promise<string> {
	const build = join(dirname(createRequire(import.meta.url).resolve("zeromq")), "../build");
	const manifest: unknown = JSON.parse(await readFile(join(build, "manifest.json"), "utf8"));
	const candidates = Object.entries(Object(manifest)).flatMap(([key, path]) => {
		const config: unknown = JSON.parse(key);
		return typeof path === "string" && isUsable(config) ? [{ abi: config.abi, path }] : [];
	});
	// It uses Node's stable interface, so the newest that was built serves every later Node.
	const newest = candidates.sort((a, b) => b.abi - a.abi)[0];
	if (newest === undefined) throw new OffshootError("not_found", `zeromq has no prebuilt binary for linux ${process.arch}`);
	return join(build, newest.path);
}

function isUsable(config: unknown): config is { abi: number } {
	if (typeof config !== "object" || config === null) return false;
	const wanted = { os: "linux", arch: process.arch, libc: "glibc", runtime: "node" };
	const same = Object.entries(wanted).every(([name, value]) => Object(config)[name] === value);
	return same && "abi" in config && typeof config.abi === "number";
}

/** Makes the bundle load `./zeromq.node`, which `packageGuest` puts beside it. */
export const loadAddonBeside: Plugin = {
	name: "zeromq-addon-beside",
	setup(build) {
		build.onLoad({ filter: /zeromq\/lib\/load-addon\.js$/ }, () => ({
			contents: `exports.__esModule = true; exports.default = require("./zeromq.node");`,
			loader: "js",
		}));
		build.onResolve({ filter: /^\.\/zeromq\.node$/ }, ({ path }) => ({ path, external: true }));
	},
};
