import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, inject, test } from "vitest";

const execute = promisify(execFile);

/** A Python with the newest `e2b` and `e2b-code-interpreter` of PyPI, made by `offshoot test`. */
const PYTHON = process.env.OFFSHOOT_TEST_PYTHON ?? "";

test.each(["sync_client.py", "async_client.py", "filesystem_only.py"])("%s does all that it names", async (script) => {
	expect(PYTHON, "OFFSHOOT_TEST_PYTHON: run the tests through `./offshoot test`").not.toBe("");
	const { stdout } = await execute(PYTHON, [join(import.meta.dirname, "python", script)], {
		env: { ...process.env, ...inject("server").env },
		timeout: 170_000,
	});
	expect(stdout.trim().split("\n").at(-1)).toBe("OK");
});
