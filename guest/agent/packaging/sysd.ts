/** Compiles sysd into one static program, which needs nothing of the root filesystem it runs in. */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { OffshootError } from "../../../src/protocol/index.ts";

const SOURCES = join(import.meta.dirname, "../sysd");
const FLAGS = ["-std=gnu17", "-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror"];

/** @throws OffshootError not_found without a C compiler, internal when it fails */
export async function buildSysd(target: string, signal: AbortSignal): Promise<void> {
	const names = (await readdir(SOURCES)).filter((name) => name.endsWith(".c"));
	const sources = names.sort().map((name) => join(SOURCES, name));
	try {
		await promisify(execFile)("cc", [...FLAGS, "-o", target, ...sources], { signal });
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENOENT") {
			throw new OffshootError("not_found", "no C compiler for the guest's sysd: apt-get install gcc libc6-dev", { cause: error });
		}
		throw new OffshootError("internal", `sysd could not be compiled: ${error}`, { cause: error });
	}
}
