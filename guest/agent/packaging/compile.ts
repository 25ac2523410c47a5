/** Our own parts in C, compiled so that they need nothing of the root filesystem they run in. */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { OffshootError } from "../../../src/protocol/index.ts";

const AGENT = join(import.meta.dirname, "..");
const COMMON = ["-Os", "-s", "-Wall", "-Wextra", "-Werror"];

/** sysd, one static program. @throws OffshootError not_found without a C compiler, internal when it fails */
export async function buildSysd(target: string, signal: AbortSignal): Promise<void> {
	await compile("sysd", ["-std=gnu17", "-static"], target, signal);
}

/** What our Nodes load before they start. @throws OffshootError as `buildSysd` */
export async function buildPreload(target: string, signal: AbortSignal): Promise<void> {
	await compile("preload", ["-shared", "-fPIC", "-nostdlib"], target, signal);
}

/** What our Nodes call in C; it finds the rest of itself in the Node that loads it. @throws OffshootError as `buildSysd` */
export async function buildAddon(target: string, signal: AbortSignal): Promise<void> {
	await compile("addon", ["-std=gnu17", "-shared", "-fPIC", "-nostdlib"], target, signal);
}

async function compile(directory: string, flags: readonly string[], target: string, signal: AbortSignal): Promise<void> {
	const names = (await readdir(join(AGENT, directory))).filter((name) => name.endsWith(".c"));
	const sources = names.sort().map((name) => join(AGENT, directory, name));
	try {
		await promisify(execFile)("cc", [...COMMON, ...flags, "-o", target, ...sources], { signal });
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENOENT") {
			throw new OffshootError("not_found", "no C compiler for the guest's sysd: apt-get install gcc libc6-dev", { cause: error });
		}
		throw new OffshootError("internal", `${directory} could not be compiled: ${error}`, { cause: error });
	}
}
