/** The real command line of E2B, as a user runs it. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from "vitest";
import { rest } from "../support/rest.ts";
import { deleteAtEnd, newSandbox, until } from "../support/sandboxes.ts";

const CLI = join(import.meta.dirname, "../../node_modules/@e2b/cli/dist/index.js");

const UNKNOWN = "i00000000000000000000";

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

test("sandbox list filters, orders and limits", async () => {
	const metadata = { cli: randomUUID() };
	const [first, second] = [await newSandbox("base", { metadata }), await newSandbox("base", { metadata })];
	await second.pause();
	const list = async (...options: string[]): Promise<string[]> => {
		const { stdout } = await e2b("sandbox", "list", "--format", "json", "--metadata", `cli=${metadata.cli}`, ...options);
		// It sorts what it shows by itself.
		return JSON.parse(stdout)
			.map((sandbox: { sandboxId: string }) => sandbox.sandboxId)
			.sort();
	};
	const both = ["--state", "running,paused"];
	expect(await list()).toEqual([first.sandboxId]);
	expect(await list(...both)).toEqual([first.sandboxId, second.sandboxId].sort());
	expect(await list(...both, "--limit", "1")).toEqual([second.sandboxId]);
	expect(await list(...both, "--limit", "1", "--order", "asc")).toEqual([first.sandboxId]);
	expect(await list(...both, "--template", "base")).toHaveLength(2);
	expect(await list(...both, "--template", "code-interpreter-v1")).toEqual([]);
	const { startedAt } = await second.getInfo();
	expect(await list(...both, "--started-after", startedAt.toISOString())).toEqual([second.sandboxId]);
});

test("sandbox kill of several, and of all with a mark", async () => {
	const metadata = { cli: randomUUID() };
	const ids = [await newId(), await newId()];
	expect((await e2b("sandbox", "kill", ...ids)).stdout.match(/has been killed/g)).toHaveLength(2);
	const marked = await newSandbox("base", { metadata });
	const other = await newSandbox();
	expect((await e2b("sandbox", "kill", "--all", "--metadata", `cli=${metadata.cli}`)).stdout).toContain(marked.sandboxId);
	expect([await marked.isRunning(), await other.isRunning()]).toEqual([false, true]);
});

test("sandbox exec: output, exit code, standard input", async () => {
	const id = await newId();
	expect(await e2b("sandbox", "exec", id, "echo", "hello")).toMatchObject({ code: 0, stdout: "hello\n" });
	expect((await e2b("sandbox", "exec", id, "sh -c 'exit 3'")).code).toBe(3);
	expect(await run(process.execPath, [CLI, "sandbox", "exec", id, "cat"], "piped\n")).toMatchObject({ stdout: "piped\n" });
	const surroundings = ["--user", "root", "--cwd", "/etc", "--env", "MARK=7"];
	expect(await e2b("sandbox", "exec", ...surroundings, id, "sh", "-c", "whoami; pwd; echo $MARK >&2")).toMatchObject({
		stdout: "root\n/etc\n",
		stderr: "7\n",
	});
	expect((await e2b("sandbox", "exec", "--background", id, "sleep 1000")).code).toBe(0);
	expect((await e2b("sandbox", "exec", id, "pgrep -fx 'sleep 1000'")).code).toBe(0);
	expect(await e2b("sandbox", "exec", UNKNOWN, "true")).toMatchObject({
		code: 1,
		stderr: expect.stringMatching(/not found|doesn't exist/),
	});
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
	const command = `${process.execPath} ${CLI} sandbox connect --user root --cwd /etc --env MARK=7 ${id}`;
	const { promise, resolve } = Promise.withResolvers<void>();
	const env = { ...process.env, ...inject("server").env, HOME: home };
	const child = spawn("script", ["-qec", command, "/dev/null"], { env, cwd: home, timeout: 60_000 });
	let output = "";
	child.stdout.on("data", (data) => {
		output += data;
	});
	child.on("close", () => resolve());
	await until("a prompt", async () => /[$#] ?/.test(output.split("connecting to sandbox").at(-1) ?? ""));
	child.stdin.write("echo terminal-$((40+2)) $(whoami) $PWD $MARK\n");
	await until("the answer", async () => output.includes("terminal-42 root /etc 7"));
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

test("sandbox metrics and logs are followed", async () => {
	const sandbox = await newSandbox();
	const follow = (what: string) => {
		const env = { ...process.env, ...inject("server").env, HOME: home, NO_COLOR: "1" };
		const child = spawn(process.execPath, [CLI, "sandbox", what, sandbox.sandboxId, "--follow"], { env, timeout: 60_000 });
		onTestFinished(() => void child.kill());
		const seen = { text: "" };
		child.stdout.on("data", (data) => {
			seen.text += data;
		});
		return seen;
	};
	const [metrics, logs] = [follow("metrics"), follow("logs")];
	await until("the first entry", async () => logs.text.includes("Sandbox started from template"));
	await sandbox.commands.run("echo printed meanwhile > /proc/1/fd/2", { user: "root" });
	await until("the next entry", async () => logs.text.includes("printed meanwhile"));
	await until("two measures", async () => (metrics.text.match(/CPU:/g) ?? []).length > 1, 30_000);
});

test("sandbox logs by level and logger", async () => {
	const id = await newId();
	expect((await e2b("sandbox", "logs", id, "--level", "ERROR")).stdout).not.toContain("Sandbox started");
	expect((await e2b("sandbox", "logs", id, "--loggers", "agent")).stdout).not.toContain("Sandbox started");
	expect((await e2b("sandbox", "logs", id, "--loggers", "control")).stdout).toContain("Sandbox started");
});

test("info, metrics and logs of a sandbox that never was are errors", async () => {
	for (const what of ["info", "metrics", "logs"]) expect((await e2b("sandbox", what, UNKNOWN)).code, what).toBe(1);
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

test("template publish, unpublish and delete", async () => {
	const sandbox = await newSandbox();
	const { snapshotId } = await sandbox.createSnapshot({ name: `cli-${randomUUID().slice(0, 8)}` });
	const [id = ""] = snapshotId.split(":");
	const isPublic = async () => (await rest("GET", `/templates/${encodeURIComponent(id)}`)).body.public;
	expect((await e2b("template", "publish", id, "--yes")).code).toBe(0);
	expect(await isPublic()).toBe(true);
	expect((await e2b("template", "unpublish", id, "--yes")).code).toBe(0);
	expect(await isPublic()).toBe(false);
	expect((await e2b("template", "delete", id, "--yes")).code).toBe(0);
	expect((await rest("GET", `/templates/${encodeURIComponent(id)}`)).status).toBe(404);
	expect((await e2b("template", "delete", id, "--yes")).code).not.toBe(0);
});

test("logging in leads to a page of E2B's and to the key that is all one needs; configuring leads to logging in", async () => {
	const env = { ...process.env, ...inject("server").env, HOME: home, NO_COLOR: "1", PATH: home };
	const login = spawn(process.execPath, [CLI, "auth", "login"], { env, cwd: home });
	onTestFinished(() => void login.kill());
	let said = "";
	login.stdout.on("data", (data) => {
		said += data;
	});
	await until("what to do without a browser", async () => said.includes("environment variable instead"));
	expect(said).toMatch(/https:\/\/e2b\.dev\/docs\/api\/cli\?[\s\S]*E2B_API_KEY/);
	expect(await e2b("auth", "configure")).toMatchObject({ code: 0, stdout: expect.stringContaining("e2b auth login") });
	expect((await e2b("auth", "info")).stdout).toContain("Not logged in");
	expect((await e2b("sandbox", "list")).code).toBe(0);
});

test("template create says that building over the API is not there", async () => {
	await writeFile(join(home, "e2b.Dockerfile"), "FROM base\n");
	const { code, stderr } = await e2b("template", "create", "mine");
	expect([code, stderr]).toEqual([1, expect.stringContaining("501: Building templates over the API is not available")]);
});

test("template list", async () => {
	const { code, stdout } = await e2b("template", "list");
	expect([code, stdout]).toEqual([0, expect.stringMatching(/Public .*code-interpreter-v1 .*2048/)]);
	const listed = JSON.parse((await e2b("template", "list", "--format", "json")).stdout);
	expect(listed).toContainEqual(expect.objectContaining({ aliases: ["base"], buildStatus: "ready" }));
});
