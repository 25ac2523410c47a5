/** What makes up the interpreter in a sandbox, as esbuild options; the caller adds those that all its bundles share. */

import { join } from "node:path";
import type { BuildOptions, Plugin } from "esbuild";

const SOURCE = join(import.meta.dirname, "src");

// Not named after Node: `pkill -f node` in a sandbox means the user's programs.
const KERNEL = "javascript.js";
/** Loaded on demand, so it is a file of its own. */
const SYNTAX = "javascript-syntax.js";

/**
 * Options for the files `main.js`, `javascript.js` and its part `javascript-syntax.js` in `directory`. The older module
 * format is deliberate: importing Node's own modules the newer way loads all their parts, 5 MB more in every snapshot.
 */
export function interpreterBundles(directory: string): BuildOptions[] {
	const common = { bundle: true, platform: "node", format: "cjs", logOverride: EXPECTED } as const;
	return [
		{ ...common, entryPoints: [join(SOURCE, "main.ts")], outfile: join(directory, "main.js") },
		{
			...common,
			entryPoints: [join(SOURCE, "node-kernel/main.ts")],
			outfile: join(directory, KERNEL),
			plugins: [keepSyntaxApart],
		},
		{ ...common, entryPoints: [join(SOURCE, "node-kernel/syntax.ts")], outfile: join(directory, SYNTAX) },
	];
}

/** The program does without `import.meta` in a bundle, and cells import what nobody knows beforehand. */
const EXPECTED = { "empty-import-meta": "silent", "unsupported-dynamic-import": "silent" } as const;

const keepSyntaxApart: Plugin = {
	name: "keep-syntax-apart",
	setup(build) {
		build.onResolve({ filter: /\/syntax\.ts$/ }, () => ({ path: `./${SYNTAX}`, external: true }));
	},
};
