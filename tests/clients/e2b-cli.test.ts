/** The real command line of E2B, as a user runs it. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { deleteAtEnd, newSandbox, until } from "../support/sandboxes.ts";

const CLI = join(import.meta.dirname, "../../node_modules/@e2b/cli/dist/index.js");

let home: string;
beforeAll(async () => {
	home = await mkdtemp(join(tmpdir(), "offshoot-cli-"));
});
afterAll(() => rm(home, { recursive: true, force: true }));

interface Outcome {
	readonly code: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

const e2b = (...args: string[]) => run(process.execPath, [CLI, ...args], "");

function run(command: string, args: readonly string[], input: string): Promise<Outcome> {
	const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
	const env = { ...process.env, ...inject("server").env, HOME: home, CI: "1", NO_COLOR: "1" };
	const child = spawn(command, args, { env, cwd: home, timeout: 60_000 });
	let stdout = "";
	let stderr = "";
	child.stdout.on("data", (data) => {
		stdout += data;
	});
	child.stderr.on("data", (data) => {
		stderr += data;
	});
	child.on("error", reject);
	child.on("close", (code) => resolve({ code, stdout, stderr }));
	child.stdin.end(input);
	return promise;
}

async function newId(): Promise<string> {
	return (await newSandbox()).sandboxId;
}

test("sandbox create, list, info and kill", async () => {
	const created = await e2b("sandbox", "create", "base", "--detach", "--timeout", "120");
	const id = created.stdout.trim();
	expect([created.code, id]).toEqual([0, expect.stringMatching(/^i[a-z0-9]{20}$/)]);
	expect((await e2b("sandbox", "list")).stdout).toContain(id);
	const listed = JSON.parse((await e2b("sandbox", "list", "--format", "json")).stdout);
	expect(listed).toContainEqual(expect.objectContaining({ sandboxId: id, name: "base", state: "running" }));
	const info = JSON.parse((await e2b("sandbox", "info", id, "--format", "json")).stdout);
	expect(info).toMatchObject({ sandboxId: id, state: "running", cpuCount: 2, memoryMB: 1024 });
	expect((await e2b("sandbox", "kill", id)).stdout).toContain("has been killed");
	expect((await e2b("sandbox", "kill", id)).stderr).toContain("wasn't found");
	expect((await e2b("sandbox", "info", id)).code).toBe(1);
});

test("sandbox exec: output, exit code, standard input", async () => {
	const id = await newId();
	expect(await e2b("sandbox", "exec", id, "echo", "hello")).toMatchObject({ code: 0, stdout: "hello\n" });
	expect((await e2b("sandbox", "exec", id, "sh -c 'exit 3'")).code).toBe(3);
	expect(await run(process.execPath, [CLI, "sandbox", "exec", id, "cat"], "piped\n")).toMatchObject({ stdout: "piped\n" });
});

test("sandbox pause and resume", async () => {
	const id = await newId();
	expect((await e2b("sandbox", "pause", id)).stdout).toContain("has been paused");
	expect((await e2b("sandbox", "list", "--state", "paused")).stdout).toContain(id);
	expect((await e2b("sandbox", "resume", id)).stdout).toContain("has been resumed");
	expect((await e2b("sandbox", "exec", id, "echo", "awake")).stdout).toBe("awake\n");
});

test("sandbox connect opens a terminal", async () => {
	const id = await newId();
	// `script` gives the command line the terminal that it insists on.
	const command = `${process.execPath} ${CLI} sandbox connect ${id}`;
	const { promise, resolve } = Promise.withResolvers<void>();
	const env = { ...process.env, ...inject("server").env, HOME: home };
	const child = spawn("script", ["-qec", command, "/dev/null"], { env, cwd: home, timeout: 60_000 });
	let output = "";
	child.stdout.on("data", (data) => {
		output += data;
	});
	child.on("close", () => resolve());
	await until("a prompt", async () => /[$#] ?/.test(output.split("connecting to sandbox").at(-1) ?? ""));
	child.stdin.write("echo terminal-$((40+2))\n");
	await until("the answer", async () => output.includes("terminal-42"));
	child.stdin.end("exit\n");
	await promise;
});

test("sandbox metrics and logs", async () => {
	const id = await newId();
	await until("a measure", async () => (await e2b("sandbox", "metrics", id)).stdout.includes("CPU:"), 30_000);
	const [line = ""] = (await e2b("sandbox", "metrics", id, "--format", "json")).stdout.trim().split("\n");
	expect(JSON.parse(line)).toMatchObject({ cpuCount: 2, memTotal: 1024 ** 3 });
	expect((await e2b("sandbox", "logs", id)).stdout).toMatch(/INFO .*Sandbox started from template/);
	const [entry = ""] = (await e2b("sandbox", "logs", id, "--format", "json")).stdout.trim().split("\n");
	expect(JSON.parse(entry)).toMatchObject({ level: "info", logger: "control" });
});

test("sandbox snapshot create, list and delete", async () => {
	const id = await newId();
	const created = await e2b("sandbox", "snapshot", "create", id);
	const snapshotId = /snapshot (\S+) /.exec(created.stdout)?.[1] ?? "";
	deleteAtEnd(snapshotId);
	expect((await e2b("sandbox", "snapshot", "list", id)).stdout).toContain(snapshotId);
	expect((await e2b("sandbox", "snapshot", "delete", snapshotId)).code).toBe(0);
	expect((await e2b("sandbox", "snapshot", "list", id)).stdout).not.toContain(snapshotId);
});

test("template list", async () => {
	const { code, stdout } = await e2b("template", "list");
	expect([code, stdout]).toEqual([0, expect.stringMatching(/Public .*code-interpreter-v1 .*2048/)]);
	const listed = JSON.parse((await e2b("template", "list", "--format", "json")).stdout);
	expect(listed).toContainEqual(expect.objectContaining({ aliases: ["base"], buildStatus: "ready" }));
});
