import { expect, test } from "vitest";
import { rest } from "../support/rest.ts";
import { newSandbox, until } from "../support/sandboxes.ts";

test("a sandbox that prints to the host without end is ended, with the reason", async () => {
	const sandbox = await newSandbox();
	const flood = "sh -c 'head -c 2000000000 /dev/zero > /proc/1/fd/1'";
	await sandbox.commands.run(`sudo ${flood}`, { background: true, timeoutMs: 0 });
	await until("the sandbox to end", async () => !(await sandbox.isRunning()));
	const gone = await rest("GET", `/sandboxes/${sandbox.sandboxId}`);
	expect(gone).toMatchObject({ status: 404, body: { message: expect.stringMatching(/ended at .*printed without end/) } });
});
