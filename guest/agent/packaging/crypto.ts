/** Gives a bundle our own small part in place of a large one of Node: see guest/agent/slim. */
import { join } from "node:path";
import type { Plugin } from "esbuild";

const CRYPTO = join(import.meta.dirname, "../slim/crypto.ts");

/** A name that ours lacks is an error of the build. */
export const replaceCrypto: Plugin = {
	name: "replace-crypto",
	setup(build) {
		build.onResolve({ filter: /^node:crypto$/ }, () => ({ path: CRYPTO }));
	},
};
