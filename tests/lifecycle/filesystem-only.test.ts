import { createHash, randomBytes } from "node:crypto";
import { Sandbox } from "e2b";
import { expect, inject, test } from "vitest";
import { pauseImage } from "../support/artifacts.ts";
import { deleteAtEnd, killAtEnd, newCodeSandbox, newSandbox, sdk, until } from "../support/sandboxes.ts";

const BOOT_ID = "cat /proc/sys/kernel/random/boot_id";

async function output(sandbox: Sandbox, command: string): Promise<string> {
	return (await sandbox.commands.run(command)).stdout.trim();
}

function health({ sandboxId }: Sandbox): Promise<number> {
	const headers = { "E2b-Sandbox-Id": sandboxId, "E2b-Sandbox-Port": "49983" };
	return fetch(`${sdk().sandboxUrl}/health`, { headers }).then((response) => response.status);
}

/** A call of the REST API for what the SDK has no method for. */
async function rest(method: string, path: string, body?: object): Promise<{ status: number; body: Record<string, unknown> }> {
	const { apiKey, apiUrl } = sdk();
	const headers = { "x-api-key": apiKey, "content-type": "application/json" };
	const answer = await fetch(`${apiUrl}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
	const text = await answer.text();
	return { status: answer.status, body: text === "" ? {} : JSON.parse(text) };
}

const detail = async ({ sandboxId }: Sandbox) => (await rest("GET", `/sandboxes/${sandboxId}`)).body;

/** Stops the daemon that serves clients, as a bug of its own would. It must be the last command. */
async function hangAgent(sandbox: Sandbox): Promise<void> {
	const stop = "sudo sh -c 'sleep 0.3; kill -STOP $(pgrep -f offshoot-agentd)' >/dev/null 2>&1 &";
	await sandbox.commands.run(stop, { timeoutMs: 5000 });
	await until("the agent to hang", async () => {
		const limit = AbortSignal.timeout(500);
		const headers = { "E2b-Sandbox-Id": sandbox.sandboxId, "E2b-Sandbox-Port": "49983" };
		return fetch(`${sdk().sandboxUrl}/health`, { headers, signal: limit }).then(
			() => false,
			() => true,
		);
	});
}

test("a pause without memory keeps every kind of file and starts anew, as the same sandbox", async () => {
	const sandbox = await newSandbox("base", { envs: { MINE: "kept" } });
	const content = randomBytes(5_000_000);
	await sandbox.files.write("/home/user/data", new Blob([content]));
	await sandbox.commands.run(
		[
			"cd /home/user; ln data hard; ln -s data soft; mkfifo pipe; truncate -s 3G sparse; setfattr -n user.note -v hello data || true",
			"echo changed | sudo tee /etc/issue; sudo rm -rf /usr/share/doc/bash; echo temporary >/tmp/note; sudo chmod 4711 data",
		].join("; "),
	);
	const before = await output(sandbox, BOOT_ID);
	const identity = "hostname; cat /etc/machine-id /run/e2b/.E2B_SANDBOX_ID; id -un; pwd; echo $MINE $E2B_SANDBOX_ID";
	const who = await output(sandbox, identity);
	await sandbox.commands.run("sleep 3600", { background: true, timeoutMs: 0 });

	expect(await sandbox.pause({ keepMemory: false })).toBe(true);
	expect(await sandbox.pause({ keepMemory: false })).toBe(false);
	expect(await detail(sandbox)).toMatchObject({ state: "paused", pauseMode: "filesystem" });
	const image = await pauseImage(inject("server").dataDir, sandbox.sandboxId);
	expect(image.files.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(2 * content.length);
	expect(await health(sandbox)).toBe(502);

	const resumed = await sandbox.connect();
	expect(resumed.sandboxId).toBe(sandbox.sandboxId);
	// The same token as before: this object was made before the pause.
	expect(await output(sandbox, BOOT_ID)).not.toBe(before);
	expect(await output(sandbox, identity)).toBe(who);
	expect(await output(sandbox, "pgrep -x sleep || echo none")).toBe("none");
	const digest = createHash("sha256").update(content).digest("hex");
	expect(await output(sandbox, "cd /home/user; sha256sum <hard; sha256sum <soft")).toBe(`${digest}  -\n${digest}  -`);
	const facts = "cd /home/user; stat -c '%A %h' data; stat -c '%F' pipe; stat -c '%s' sparse";
	expect(await output(sandbox, facts)).toBe("-rws--x--x 2\nfifo\n3221225472");
	expect(await output(sandbox, "cat /etc/issue /tmp/note; ls -d /usr/share/doc/bash 2>&1 | grep -c 'No such'")).toBe(
		"changed\ntemporary\n1",
	);
	expect(await detail(sandbox)).not.toHaveProperty("pauseMode");
});

test("traffic does not wake a sandbox that was paused without memory", async () => {
	const sandbox = await newSandbox("base", { lifecycle: { onTimeout: "pause", autoResume: true } });
	await sandbox.pause({ keepMemory: false });
	expect(await health(sandbox)).toBe(502);
	expect(await detail(sandbox)).toMatchObject({ state: "paused" });
});

test("a sandbox pauses without memory at the end of its time, as it was created to", async () => {
	const sandbox = await newSandbox("base", {
		timeoutMs: 3000,
		lifecycle: { onTimeout: { action: "pause", keepMemory: false } },
	});
	await sandbox.files.write("/home/user/note", "kept");
	await until("the pause", async () => (await detail(sandbox)).pauseMode === "filesystem");
	await sandbox.connect({ timeoutMs: 60_000 });
	expect(await sandbox.files.read("/home/user/note")).toBe("kept");
});

test("a paused sandbox can be started anew from its files although its memory was kept", async () => {
	const sandbox = await newSandbox();
	await sandbox.files.write("/home/user/note", "kept");
	const before = await output(sandbox, BOOT_ID);
	await sandbox.pause();
	expect(await detail(sandbox)).toMatchObject({ pauseMode: "full" });
	await sandbox.connect({ onResume: "reboot" });
	expect(await output(sandbox, BOOT_ID)).not.toBe(before);
	expect(await sandbox.files.read("/home/user/note")).toBe("kept");

	// With memory again, on what the cold start made.
	const second = await output(sandbox, BOOT_ID);
	await sandbox.pause();
	await sandbox.connect();
	expect(await output(sandbox, BOOT_ID)).toBe(second);
});

test("the code interpreter answers when a cold start does, on the files of before", async () => {
	const sandbox = await newCodeSandbox();
	await sandbox.runCode("x = 41; open('/home/user/x', 'w').write(str(x))");
	await sandbox.pause({ keepMemory: false });
	await sandbox.connect();
	expect((await sandbox.runCode("int(open('/home/user/x').read()) + 1")).text).toBe("42");
	expect((await sandbox.runCode("x")).error?.name).toBe("NameError");
});

test("a snapshot without memory gives new sandboxes its files, and its source runs on", async () => {
	const source = await newSandbox("base", { envs: { MINE: "inherited" } });
	await source.files.write("/home/user/note", "of the source");
	const sleeper = await source.commands.run("sleep 3600", { background: true, timeoutMs: 0 });
	const taken = await rest("POST", `/sandboxes/${source.sandboxId}/snapshots`, { memory: false });
	expect(taken).toMatchObject({ status: 201, body: { memory: false } });
	const snapshotId = deleteAtEnd(String(taken.body.snapshotID));
	expect((await source.commands.list()).map(({ pid }) => pid)).toContain(sleeper.pid);

	const [first, second] = await Promise.all([newSandbox(snapshotId), newSandbox(snapshotId)]);
	for (const child of [first, second]) {
		expect(await child.files.read("/home/user/note")).toBe("of the source");
		expect(await output(child, "echo $MINE; hostname; pgrep -x sleep || echo none")).toBe(`inherited\n${child.sandboxId}\nnone`);
	}
	const identities = await Promise.all([source, first, second].map((each) => output(each, `${BOOT_ID}; cat /etc/machine-id`)));
	expect(new Set(identities.flatMap((text) => text.split("\n"))).size).toBe(6);

	await first.files.write("/home/user/note", "of the child");
	const { snapshotId: withMemory } = await first.createSnapshot();
	deleteAtEnd(withMemory);
	const grandchild = killAtEnd(await Sandbox.create(withMemory, sdk()));
	expect(await grandchild.files.read("/home/user/note")).toBe("of the child");
	expect(await second.files.read("/home/user/note")).toBe("of the source");
});

test("what the agent cannot answer for is refused when asked so, recorded else, and started anew from its files", async () => {
	const sandbox = await newSandbox();
	await sandbox.files.write("/home/user/note", "kept");
	await hangAgent(sandbox);
	const pause = (body: object) => rest("POST", `/sandboxes/${sandbox.sandboxId}/pause`, body);
	expect((await pause({ requireHealthyGuest: true })).status).toBe(503);
	expect((await pause({ memory: false })).status).toBe(503);
	expect(await detail(sandbox)).toMatchObject({ state: "running" });
	expect((await pause({})).status).toBe(204);
	expect(await detail(sandbox)).toMatchObject({ state: "paused", pauseMode: "full", envdUnresponsiveAtPause: true });

	const refused = await rest("POST", `/v2/sandboxes/${sandbox.sandboxId}/connect`, {});
	expect([refused.status, refused.body.error_code]).toEqual([409, "sandbox_snapshot_guest_agent_unresponsive"]);
	await sandbox.connect({ onResume: "reboot" });
	expect(await sandbox.files.read("/home/user/note")).toBe("kept");
	expect(await detail(sandbox)).not.toHaveProperty("envdUnresponsiveAtPause");
});
