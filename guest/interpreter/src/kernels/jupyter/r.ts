/**
 * The R kernel: IRkernel, found where Jupyter kernels are installed.
 * https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs
 */

import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type EnvironmentChanges, KernelUnavailable } from "../kernel.ts";
import type { JupyterLanguage } from "./kernel.ts";
import { isRecord } from "./messages.ts";

/** The installed kernel. Rejects with KernelUnavailable if there is none. */
export async function rLanguage(): Promise<JupyterLanguage> {
	const argv = await findSpec("ir");
	if (!argv) throw new KernelUnavailable('the kernel of language "r" is not installed in this template (Jupyter kernel "ir")');
	return {
		command: (connectionFile) => argv.map((part) => part.replaceAll("{connection_file}", connectionFile)),
		environment: {},
		environmentCode,
		// Of all integers the smallest one means NA in R, which is no seed.
		seeding: (seed) => `set.seed(${seed.readUInt32LE() >>> 1})`,
		endsItself: false,
	};
}

async function findSpec(name: string): Promise<readonly string[] | undefined> {
	const roots = [join(homedir(), ".local/share/jupyter"), "/usr/local/share/jupyter", "/usr/share/jupyter"];
	for (const root of roots) {
		const text = await readFile(join(root, "kernels", name, "kernel.json"), "utf8").catch(() => undefined);
		if (text !== undefined) return parseSpec(JSON.parse(text), name);
	}
	return undefined;
}

function parseSpec(value: unknown, name: string): readonly string[] {
	if (!isRecord(value) || !isStrings(value.argv)) throw new KernelUnavailable(`kernel.json of "${name}" has no argv`);
	return value.argv;
}

function isStrings(value: unknown): value is string[] {
	return Array.isArray(value) && value.every((part) => typeof part === "string");
}

function environmentCode(changes: EnvironmentChanges): string {
	return Object.entries(changes)
		.map(([name, value]) =>
			value === null
				? `Sys.unsetenv(${JSON.stringify(name)})`
				: `do.call(Sys.setenv, stats::setNames(list(${JSON.stringify(value)}), ${JSON.stringify(name)}))`,
		)
		.join("; ");
}
