import { expect, test } from "vitest";
import { newSandbox, until } from "../support/sandboxes.ts";

test("a sandbox that prints to the host without end is ended, with the reason", async () => {
	const sandbox = await newSandbox();
	const flood = "sh -c 'head -c 2000000000 /dev/zero > /proc/1/fd/1'";
	await sandbox.commands.run(`sudo ${flood}`, { background: true, timeoutMs: 0 });
	await until("the sandbox to end", async () => !(await sandbox.isRunning()));
	await expect(sandbox.getInfo()).rejects.toThrow(/printed without end|doesn't exist|not found/);
});
