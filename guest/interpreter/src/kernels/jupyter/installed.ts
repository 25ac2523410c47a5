/**
 * Languages that a template may add by installing their Jupyter kernel in the usual place: R (IRkernel) and Java (IJava).
 * https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs
 */

import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { type EnvironmentChanges, KernelUnavailable } from "../kernel.ts";
import type { JupyterLanguage } from "./kernel.ts";
import { isRecord } from "./messages.ts";

interface KernelSpec {
	readonly argv: readonly string[];
	readonly environment: Readonly<Record<string, string>>;
}

const LANGUAGES = {
	r: { spec: "ir", environmentCode: rEnvironment },
	java: { spec: "java", environmentCode: javaEnvironment },
} as const;

/** The installed kernel of a language. Rejects with KernelUnavailable if there is none. */
export async function installedLanguage(name: keyof typeof LANGUAGES): Promise<JupyterLanguage> {
	const { spec, environmentCode } = LANGUAGES[name];
	const found = await findSpec(spec);
	if (!found) {
		throw new KernelUnavailable(`the kernel of language "${name}" is not installed in this template (Jupyter kernel "${spec}")`);
	}
	return {
		command: (connectionFile) => found.argv.map((part) => part.replaceAll("{connection_file}", connectionFile)),
		environment: found.environment,
		environmentCode,
		reseeds: false,
	};
}

async function findSpec(name: string): Promise<KernelSpec | undefined> {
	const roots = [join(homedir(), ".local/share/jupyter"), "/usr/local/share/jupyter", "/usr/share/jupyter"];
	for (const root of roots) {
		const text = await readFile(join(root, "kernels", name, "kernel.json"), "utf8").catch(() => undefined);
		if (text !== undefined) return parseSpec(JSON.parse(text), name);
	}
	return undefined;
}

function parseSpec(value: unknown, name: string): KernelSpec {
	if (!isRecord(value) || !isStrings(value.argv)) throw new KernelUnavailable(`kernel.json of "${name}" has no argv`);
	const environment = isRecord(value.env) ? value.env : {};
	return {
		argv: value.argv,
		environment: Object.fromEntries(Object.entries(environment).map(([key, entry]) => [key, String(entry)])),
	};
}

function isStrings(value: unknown): value is string[] {
	return Array.isArray(value) && value.every((part) => typeof part === "string");
}

function rEnvironment(changes: EnvironmentChanges): string {
	return Object.entries(changes)
		.map(([name, value]) =>
			value === null
				? `Sys.unsetenv(${JSON.stringify(name)})`
				: `do.call(Sys.setenv, stats::setNames(list(${JSON.stringify(value)}), ${JSON.stringify(name)}))`,
		)
		.join("; ");
}

function javaEnvironment(changes: EnvironmentChanges): string {
	return Object.entries(changes)
		.map(([name, value]) =>
			value === null
				? `System.clearProperty(${JSON.stringify(name)});`
				: `System.setProperty(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
		)
		.join(" ");
}
