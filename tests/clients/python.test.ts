import { describe, inject, test } from "vitest";
import { runPython } from "../support/python.ts";

const runProgram = (script: string, ...args: string[]) => runPython(inject("server").env, script, ...args);

test.each(["sync_client.py", "async_client.py", "filesystem_only.py", "templates.py"])(
	"%s does all that it names",
	async (script) => {
		await runProgram(script);
	},
);

// Each program has a sandbox of its own and mostly waits.
describe.each(["sync", "async"])("the %s form of the Python client", { concurrent: true }, (form) => {
	test("runs commands and terminals", () => runProgram("commands.py", form));
	test("writes, reads, lists and watches files", () => runProgram("files.py", form));
	test("has its git helpers", () => runProgram("git.py", form));
	test("runs code, shows results and has contexts", () => runProgram("interpreter.py", form));
});
