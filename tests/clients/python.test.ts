import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, inject, test } from "vitest";

const execute = promisify(execFile);

/** A Python with the newest `e2b` and `e2b-code-interpreter` of PyPI, made by `offshoot test`. */
const PYTHON = process.env.OFFSHOOT_TEST_PYTHON ?? "";

async function runProgram(...command: readonly [script: string, ...args: string[]]): Promise<void> {
	expect(PYTHON, "OFFSHOOT_TEST_PYTHON: run the tests through `./offshoot test`").not.toBe("");
	const [script, ...args] = command;
	const { stdout } = await execute(PYTHON, [join(import.meta.dirname, "python", script), ...args], {
		env: { ...process.env, ...inject("server").env, PYTHONDONTWRITEBYTECODE: "1" },
		timeout: 170_000,
	});
	expect(stdout.trim().split("\n").at(-1)).toBe("OK");
}

test.each(["sync_client.py", "async_client.py", "filesystem_only.py"])("%s does all that it names", async (script) => {
	await runProgram(script);
});

// Each program has a sandbox of its own and mostly waits.
describe.each(["sync", "async"])("the %s form of the Python client", { concurrent: true }, (form) => {
	test("runs commands and terminals", () => runProgram("commands.py", form));
	test("writes, reads, lists and watches files", () => runProgram("files.py", form));
	test("has its git helpers", () => runProgram("git.py", form));
	test("runs code, shows results and has contexts", () => runProgram("interpreter.py", form));
});
