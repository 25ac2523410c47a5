import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { OffshootError } from "../../protocol/index.ts";
import { REPOSITORY } from "../repository.ts";
import { runScript } from "./tool.ts";

const DIRECTORY = join(REPOSITORY, "bench");

/** A program of `bench/`: every file there is one; what they share lies in folders. */
async function listBenches(): Promise<readonly string[]> {
	const names = await readdir(DIRECTORY).catch(() => []);
	return names
		.filter((name) => name.endsWith(".ts"))
		.map((name) => name.slice(0, -".ts".length))
		.sort();
}

/** Runs one bench program, or lists them. */
export async function bench(name: string | undefined, options: { readonly json: boolean }, signal: AbortSignal): Promise<number> {
	const names = await listBenches();
	if (name === undefined) {
		for (const each of names) process.stdout.write(`${each.padEnd(16)}  ${await purpose(each)}\n`);
		return 0;
	}
	if (!names.includes(name)) {
		throw new OffshootError("invalid_request", `there is no bench "${name}". FIX: one of ${names.join(", ") || "(none yet)"}`);
	}
	return runScript(join(DIRECTORY, `${name}.ts`), options.json ? ["--json"] : [], { signal });
}

/** First sentence of the program's first comment. */
async function purpose(name: string): Promise<string> {
	const text = await readFile(join(DIRECTORY, `${name}.ts`), "utf8");
	const comment = /\/\*\*([\s\S]*?)\*\//.exec(text)?.[1] ?? "";
	const words = comment
		.replaceAll(/^\s*\*/gm, "")
		.replaceAll(/\s+/g, " ")
		.trim();
	return /^.*?[.:](?=\s|$)/.exec(words)?.[0] ?? words;
}
