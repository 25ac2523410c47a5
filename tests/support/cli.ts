import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { inject } from "vitest";

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");

/** The operator's command line, on the shared server. Rejects when it exits with another code than 0. */
export function offshoot(...args: string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
	const env = { ...process.env, OFFSHOOT_DATA_DIR: inject("server").dataDir };
	return promisify(execFile)(process.execPath, [MAIN, ...args], { env });
}
