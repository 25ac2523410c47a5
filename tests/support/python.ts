import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";

const execute = promisify(execFile);
const PROGRAMS = join(import.meta.dirname, "../clients/python");

/** A Python with the newest `e2b` and `e2b-code-interpreter` of PyPI, made by `offshoot test`. */
const PYTHON = process.env.OFFSHOOT_TEST_PYTHON ?? "";

/** Runs a program of `tests/clients/python`, which says OK at its end. @param env variables that lead its clients to a server */
export async function runPython(env: Readonly<Record<string, string>>, script: string, ...args: string[]): Promise<void> {
	expect(PYTHON, "OFFSHOOT_TEST_PYTHON: run the tests through `./offshoot test`").not.toBe("");
	const { stdout } = await execute(PYTHON, [join(PROGRAMS, script), ...args], {
		env: { ...process.env, ...env, PYTHONDONTWRITEBYTECODE: "1" },
		timeout: 170_000,
	});
	expect(stdout.trim().split("\n").at(-1)).toBe("OK");
}
