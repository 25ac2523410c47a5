import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { runningServer } from "../instance/server-file.ts";
import { REPOSITORY } from "../repository.ts";
import { serverEnvironment } from "./env.ts";
import { runScript } from "./tool.ts";

const DIRECTORY = join(REPOSITORY, "bench");

/** A program of `bench/`: every file there is one; what they share lies in folders. */
export async function listBenches(directory = DIRECTORY): Promise<readonly string[]> {
	const names = await readdir(directory).catch(() => []);
	return names
		.filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
		.map((name) => name.slice(0, -".ts".length))
		.sort();
}

/** Runs one bench program, or lists them. A running server is told to it as to any client. */
export async function bench(
	config: Config,
	name: string | undefined,
	options: { readonly json: boolean; readonly args: readonly string[] },
	signal: AbortSignal,
): Promise<number> {
	const names = await listBenches();
	if (name === undefined) {
		for (const each of names) process.stdout.write(`${each.padEnd(16)}  ${await purpose(each)}\n`);
		return 0;
	}
	if (!names.includes(name)) {
		throw new OffshootError("invalid_request", `there is no bench "${name}". FIX: one of ${names.join(", ") || "(none yet)"}`);
	}
	const server = await runningServer(config.dataDir);
	const env = server === undefined ? {} : { ...(await serverEnvironment(config)) };
	return runScript(join(DIRECTORY, `${name}.ts`), [...(options.json ? ["--json"] : []), ...options.args], { signal, env });
}

/** First sentence of the program's opening comment. */
async function purpose(name: string): Promise<string> {
	const text = await readFile(join(DIRECTORY, `${name}.ts`), "utf8");
	const comment = /^\/\*\*([\s\S]*?)\*\//.exec(text)?.[1] ?? "";
	const words = comment
		.replaceAll(/^\s*\*/gm, "")
		.replaceAll(/\s+/g, " ")
		.trim();
	return /^.*?[.:](?=\s|$)/.exec(words)?.[0] ?? words;
}
