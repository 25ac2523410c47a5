import { createHash, randomBytes } from "node:crypto";
import { Sandbox } from "e2b";
import { expect, test } from "vitest";
import { rest } from "../support/rest.ts";
import { newCodeSandbox, newSandbox, sdk, until } from "../support/sandboxes.ts";

function health(sandboxId: string): Promise<number> {
	const headers = { "E2b-Sandbox-Id": sandboxId, "E2b-Sandbox-Port": "49983" };
	return fetch(`${sdk().sandboxUrl}/health`, { headers }).then((response) => response.status);
}

/** How often the sandbox's log tells it. */
async function happened(sandboxId: string, what: string): Promise<number> {
	const { body } = await rest("GET", `/sandboxes/${sandboxId}/logs`);
	return body.logEntries.filter(({ message }: { readonly message: string }) => message === what).length;
}

test("pause stops a sandbox, resume brings the same one back with its memory", async () => {
	const sandbox = await newCodeSandbox();
	await sandbox.runCode("x = 41");
	const { stdout: before } = await sandbox.commands.run("pgrep -o python3");
	expect(await sandbox.pause()).toBe(true);
	expect(await health(sandbox.sandboxId)).toBe(502);
	expect(await sandbox.pause()).toBe(false);
	expect((await Sandbox.getInfo(sandbox.sandboxId, sdk())).state).toBe("paused");

	const resumed = await sandbox.connect();
	expect(resumed.sandboxId).toBe(sandbox.sandboxId);
	expect((await sandbox.runCode("x + 1")).text).toBe("42");
	expect((await sandbox.commands.run("pgrep -o python3")).stdout).toBe(before);
});

test("every write that the guest acknowledged before a pause is there after the resume", async () => {
	const sandbox = await newSandbox();
	await sandbox.files.write("/home/user/log", "");
	const acknowledged: number[] = [];
	const writer = `exec 3>>/home/user/log; i=0; while :; do i=$((i+1)); echo $i >&3; echo $i; done`;
	let buffered = "";
	const command = await sandbox.commands.run(writer, {
		background: true,
		timeoutMs: 0,
		onStdout: (chunk) => {
			const parts = (buffered + chunk).split("\n");
			buffered = parts.pop() ?? "";
			for (const part of parts) acknowledged.push(Number(part));
		},
	});
	const ended = command.wait().catch((error: unknown) => error);
	await until("some writes", async () => acknowledged.length > 200);
	await sandbox.pause();
	expect(String(await ended)).toMatch(/Timeout|killed|end of life/i);
	await sandbox.connect();
	const written = (await sandbox.files.read("/home/user/log")).trim().split("\n").map(Number);
	const last = acknowledged.at(-1) ?? 0;
	expect(written.slice(0, last)).toEqual(Array.from({ length: last }, (_, index) => index + 1));
	await sandbox.commands.kill(command.pid);
});

test("ten pause and resume cycles leave files byte-exact and processes with their pids", async () => {
	const sandbox = await newSandbox();
	const content = randomBytes(3 * 1024 * 1024);
	await sandbox.files.write("/home/user/data", new Blob([content]));
	const sleeper = await sandbox.commands.run("sleep 3600", { background: true, timeoutMs: 0 });
	for (let cycle = 0; cycle < 10; cycle++) {
		expect(await sandbox.pause()).toBe(true);
		await sandbox.connect();
		expect((await sandbox.commands.list()).map((process) => process.pid)).toContain(sleeper.pid);
		await sandbox.files.write(`/home/user/cycle-${cycle}`, `cycle ${cycle}`);
	}
	const bytes = await sandbox.files.read("/home/user/data", { format: "bytes" });
	const digest = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");
	expect(digest(bytes)).toBe(digest(content));
	for (let cycle = 0; cycle < 10; cycle++) expect(await sandbox.files.read(`/home/user/cycle-${cycle}`)).toBe(`cycle ${cycle}`);
});

test("parallel pauses all succeed and pause once", async () => {
	const sandbox = await newSandbox();
	expect(await Promise.all([sandbox.pause(), sandbox.pause(), sandbox.pause()])).toEqual([true, true, true]);
	expect(await happened(sandbox.sandboxId, "Sandbox paused")).toBe(1);
	expect((await Sandbox.getInfo(sandbox.sandboxId, sdk())).state).toBe("paused");
	await sandbox.connect();
	expect((await sandbox.commands.run("echo back")).stdout).toBe("back\n");
});

test("a sandbox ends or pauses at its end time, as it was told", async () => {
	const killed = await newSandbox("base", { timeoutMs: 2000 });
	const paused = await newSandbox("base", { timeoutMs: 2000, lifecycle: { onTimeout: "pause" } });
	await until("the first to end", async () => (await health(killed.sandboxId)) === 502);
	await until("the second to pause", async () => (await Sandbox.getInfo(paused.sandboxId, sdk())).state === "paused");
	await expect(Sandbox.getInfo(killed.sandboxId, sdk())).rejects.toThrow(killed.sandboxId);
	expect(await health(paused.sandboxId)).toBe(502);
});

test("traffic wakes a paused sandbox that asked for it, once for all waiting requests", async () => {
	const sandbox = await newSandbox("base", { lifecycle: { onTimeout: "pause", autoResume: true } });
	await sandbox.files.write("/home/user/note", "woken");
	await sandbox.pause();
	const reads = await Promise.all(Array.from({ length: 5 }, () => sandbox.files.read("/home/user/note")));
	expect(reads).toEqual(Array(5).fill("woken"));
	expect(await happened(sandbox.sandboxId, "Sandbox resumed")).toBe(1);
	expect((await sandbox.getInfo()).state).toBe("running");
});
