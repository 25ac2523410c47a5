/** What a program does that knows nothing but E2B_DOMAIN and a key. Prints OK at the end. */
import assert from "node:assert/strict";
import { Sandbox as CodeSandbox } from "@e2b/code-interpreter";
import { Sandbox, TimeoutError } from "e2b";

const domain = process.env.E2B_DOMAIN ?? "";
const sandbox = await Sandbox.create();
assert.equal(sandbox.getHost(8000), `8000-${sandbox.sandboxId}.${domain}`);
assert.equal((await sandbox.commands.run("echo hello")).stdout, "hello\n");
await sandbox.files.write("/home/user/note", "from outside");
assert.equal(await sandbox.files.read("/home/user/note"), "from outside");

// Signed URLs, with nothing but HTTP.
const form = new FormData();
form.append("file", new Blob(["x".repeat(3_000_000)]), "large");
assert.equal((await fetch(await sandbox.uploadUrl("/home/user/large"), { method: "POST", body: form })).status, 200);
const downloaded = await fetch(await sandbox.downloadUrl("/home/user/large", { useSignatureExpiration: 60 }));
assert.equal((await downloaded.text()).length, 3_000_000);

// A guest's own server, on its loopback interface, and a port where nothing listens.
await sandbox.commands.run("python3 -m http.server --bind 127.0.0.1 8000 -d /home/user", { background: true, timeoutMs: 0 });
assert.equal(await (await fetch(`https://${sandbox.getHost(8000)}/note`)).text(), "from outside");
const closed = await fetch(`https://${sandbox.getHost(8001)}/`);
assert.deepEqual(
	[closed.status, await closed.text()],
	[
		502,
		JSON.stringify({
			sandboxId: sandbox.sandboxId,
			message: "The sandbox is running but port is not open",
			port: 8001,
			code: 502,
		}),
	],
);

// Two sandboxes, one of which ends: its stream tells so, the other's goes on.
const other = await Sandbox.create();
let ticks = 0;
const onStdout = () => {
	ticks += 1;
};
const steady = await other.commands.run("while sleep 0.05; do echo tick; done", { background: true, timeoutMs: 0, onStdout });
const doomed = await sandbox.commands.run("sleep 1000", { background: true, timeoutMs: 0 });
const waiting = assert.rejects(doomed.wait(), (error) => {
	assert.ok(error instanceof TimeoutError, String(error));
	assert.match(error.message, /killed or reached its end of life/);
	return true;
});
await sandbox.kill();
await waiting;
assert.equal(await sandbox.isRunning(), false);
const seen = ticks;
while (ticks < seen + 5) await new Promise((resolve) => setTimeout(resolve, 20));
await steady.kill();
await other.kill();

const code = await CodeSandbox.create();
assert.equal((await code.runCode("40 + 2")).text, "42");
const dropped = assert.rejects(
	code.runCode("import time; time.sleep(100)"),
	/killed or reached its end of life|sandbox was killed/,
);
await new Promise((resolve) => setTimeout(resolve, 500));
await code.kill();
await dropped;
console.log("OK");
process.exit(0);
