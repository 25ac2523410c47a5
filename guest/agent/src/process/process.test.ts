import { randomUUID } from "node:crypto";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CommandExitError, InvalidArgumentError, NotFoundError, type Sandbox } from "e2b";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TestAgent } from "../../testing/agent.ts";
import { clientStream, collect, json, type StreamMessage, stream, unary } from "../../testing/rpc.ts";
import { connectSdk } from "../../testing/sdk.ts";

let agent: TestAgent;
let sandbox: Sandbox;
let directory: string;

beforeAll(async () => {
	agent = await TestAgent.start();
	await agent.initialise({ envs: { GLOBAL: "g", BOTH: "global" } });
	sandbox = await connectSdk(agent);
	directory = await mkdtemp(join(tmpdir(), "offshoot-process-"));
	await chmod(directory, 0o755);
}, 60_000);

afterAll(async () => {
	await agent[Symbol.asyncDispose]();
	await rm(directory, { recursive: true });
});

async function failure(run: Promise<unknown>): Promise<CommandExitError> {
	return await run.then(
		() => expect.fail("the command should have failed"),
		(error) => error,
	);
}

const start = (cmd: string, args: string[], more: object = {}) =>
	stream(agent, "process.Process/Start", { process: { cmd, args, ...more }, stdin: false });

function output(messages: readonly StreamMessage[], kind: "stdout" | "stderr" | "pty" = "stdout"): string {
	const chunks = messages.map(({ body }) => body.event?.data?.[kind]).filter((chunk) => chunk !== undefined);
	return chunks.map((chunk) => Buffer.from(chunk, "base64").toString()).join("");
}

describe("environment", () => {
	test("has PATH, the user's names, the sandbox's and the request's variables, and nothing else", async () => {
		const messages = await collect(start("/usr/bin/env", [], { envs: { MINE: "m", BOTH: "request" } }));
		const names = output(messages).trim().split("\n").sort();
		expect(names).toEqual(
			[
				`PATH=${process.env.PATH}`,
				"HOME=/root",
				"USER=root",
				"LOGNAME=root",
				"GLOBAL=g",
				"BOTH=request",
				"MINE=m",
				"E2B_SANDBOX=true",
				"E2B_SANDBOX_ID=itestsandbox",
				"E2B_TEMPLATE_ID=ttesttemplate",
			].sort(),
		);
	});

	test("a command runs as the user it is asked to, with that user's home and groups", async () => {
		const { stdout } = await sandbox.commands.run('echo "$(id -u) $(id -g) $(id -G) $HOME $USER"', { user: "nobody", cwd: "/" });
		expect(stdout.trim()).toBe("65534 65534 65534 /nonexistent nobody");
	});

	test("an unknown user is told in the end of the stream", async () => {
		const headers = { authorization: `Basic ${Buffer.from("nosuch:").toString("base64")}` };
		const messages = await collect(stream(agent, "process.Process/Start", { process: { cmd: "true" } }, { headers }));
		expect(messages).toEqual([{ flags: 2, body: { error: { code: "unauthenticated", message: "invalid username: 'nosuch'" } } }]);
	});
});

describe("working directory", () => {
	test("is the home by default, and relative to it", async () => {
		expect((await sandbox.commands.run("pwd")).stdout).toBe("/root\n");
		expect((await sandbox.commands.run("pwd", { cwd: ".." })).stdout).toBe("/\n");
	});

	test("a missing one is refused by its name", async () => {
		await expect(sandbox.commands.run("pwd", { cwd: "/no/such" })).rejects.toThrow("cwd '/no/such' does not exist");
	});

	test("one that the user may not enter is refused", async () => {
		await expect(sandbox.commands.run("pwd", { cwd: "/root", user: "nobody" })).rejects.toThrow(InvalidArgumentError);
	});
});

describe("end", () => {
	test("success has no error", async () => {
		const messages = await collect(start("true", []));
		expect(messages.at(-2)?.body).toEqual({ event: { end: { exited: true, status: "exit status 0" } } });
		expect(messages.at(-1)).toEqual({ flags: 2, body: {} });
	});

	test("a code is told with its words", async () => {
		const error = await failure(sandbox.commands.run("echo out; echo err >&2; exit 7"));
		expect(error).toMatchObject({ exitCode: 7, error: "exit status 7", stdout: "out\n", stderr: "err\n" });
	});

	test("SIGKILL and SIGTERM are told by name, with code -1", async () => {
		const killed = await sandbox.commands.run("sleep 600", { background: true });
		expect(await killed.kill()).toBe(true);
		expect(await failure(killed.wait())).toMatchObject({ exitCode: -1, error: "signal: killed" });

		const messages = start("sleep", ["600"]);
		const pid = (await messages.next()).value?.body.event.start.pid;
		await unary(agent, "process.Process/SendSignal", { process: { pid }, signal: "SIGNAL_SIGTERM" });
		const rest = await collect(messages);
		expect(rest[0]?.body.event.end).toEqual({ exitCode: -1, status: "signal: terminated", error: "signal: terminated" });
	});

	test("a kill does not wait for others that hold the output", async () => {
		const command = await sandbox.commands.run("sleep 600 & sleep 600", { background: true });
		await command.kill();
		expect(await failure(command.wait())).toMatchObject({ error: "signal: killed" });
	});

	test("a kill is for the process alone: what it started goes on", async () => {
		const command = await sandbox.commands.run("sleep 600 & echo $!; wait", { background: true });
		await expect.poll(() => command.stdout).toMatch(/^\d+\n$/);
		await command.kill();
		await failure(command.wait());
		expect(() => process.kill(Number(command.stdout), "SIGKILL")).not.toThrow();
	});

	test("a program that is not there is refused", async () => {
		const messages = await collect(start("/no/such/program", []));
		expect(messages[0]?.body.error).toMatchObject({ code: "invalid_argument" });
		expect(messages[0]?.body.error.message).toContain("no such file or directory");
	});

	test("can be asked for by who comes late", async () => {
		const messages = await collect(start("sh", ["-c", "exit 5"]));
		const pid = messages[0]?.body.event.start.pid;
		const late = await collect(stream(agent, "process.Process/Connect", { process: { pid } }));
		expect(late.map(({ body }) => body)).toEqual([
			{ event: { start: { pid } } },
			{ event: { end: { exitCode: 5, exited: true, status: "exit status 5", error: "exit status 5" } } },
			{},
		]);
	});

	test("the deadline of the start kills the process", async () => {
		const request = { process: { cmd: "sleep", args: ["600"] } };
		const messages = stream(agent, "process.Process/Start", request, { headers: { "connect-timeout-ms": "200" } });
		const pid = (await messages.next()).value?.body.event.start.pid;
		const rest = await collect(messages);
		expect(rest.at(-1)?.body.error.code).toBe("deadline_exceeded");
		const late = await collect(stream(agent, "process.Process/Connect", { process: { pid } }));
		expect(late[1]?.body.event.end.status).toBe("signal: killed");
	});

	test("the deadline holds also when the client has left before", async () => {
		const aborter = new AbortController();
		const options = { headers: { "connect-timeout-ms": "300" }, signal: aborter.signal };
		const messages = stream(agent, "process.Process/Start", { process: { cmd: "sleep", args: ["600"] } }, options);
		const pid = (await messages.next()).value?.body.event.start.pid;
		aborter.abort();
		await messages.return(undefined).catch(() => undefined);
		const late = await collect(stream(agent, "process.Process/Connect", { process: { pid } }));
		expect(late[1]?.body.event.end.status).toBe("signal: killed");
	});
});

describe("output", () => {
	test("every byte arrives, in pieces of at most 32 KiB", async () => {
		const messages = await collect(start("sh", ["-c", "head -c 3000000 /dev/zero | tr '\\0' x"]));
		const sizes = messages.flatMap(({ body }) => {
			const data = body.event?.data?.stdout;
			return data === undefined ? [] : [Buffer.from(data, "base64").length];
		});
		expect(sizes.reduce((a, b) => a + b, 0)).toBe(3_000_000);
		expect(Math.max(...sizes)).toBeLessThanOrEqual(32 * 1024);
	});

	test("of a terminal comes in pieces of at most 16 KiB", async () => {
		const request = { process: { cmd: "sh", args: ["-c", "head -c 300000 /dev/zero | tr '\\0' x"] }, pty: {} };
		const messages = await collect(stream(agent, "process.Process/Start", request));
		const sizes = messages.map(({ body }) => Buffer.from(body.event?.data?.pty ?? "", "base64").length);
		expect(sizes.reduce((a, b) => a + b, 0)).toBe(300_000);
		expect(Math.max(...sizes)).toBeLessThanOrEqual(16 * 1024);
	});

	test("a subscriber that does not read holds the process back; without it, the process goes on", async () => {
		const file = join(directory, "progress");
		const script = `for i in 1 2 3 4 5 6 7 8 9 10; do head -c 4000000 /dev/zero; echo $i >> ${file}; done; echo done >> ${file}`;
		const aborter = new AbortController();
		const request = { process: { cmd: "sh", args: ["-c", script] } };
		const reader = stream(agent, "process.Process/Start", request, { signal: aborter.signal });
		const pid = (await reader.next()).value?.body.event.start.pid;
		await sleep(500);
		const { processes } = await json(unary(agent, "process.Process/List", {}));
		expect(processes.map((each: { pid: number }) => each.pid)).toContain(pid);
		aborter.abort();
		await reader.return(undefined).catch(() => undefined);
		const late = await collect(stream(agent, "process.Process/Connect", { process: { pid } }));
		expect(late.at(-2)?.body.event.end.exited).toBe(true);
		expect(await sandbox.files.read(file)).toContain("done");
	});

	/** Starts a command as a client that never reads what comes; resolves when the command waits for it. */
	async function unread(script: string): Promise<{ pid: number; leave(): void }> {
		const file = join(directory, `unread-${randomUUID()}`);
		const message = JSON.stringify({ process: { cmd: "sh", args: ["-c", script], envs: { FILE: file } } });
		const head = Buffer.alloc(5);
		head.writeUInt32BE(message.length, 1);
		const headers = { "content-type": "application/connect+json" };
		const sent = request(`${agent.url}/process.Process/Start`, { method: "POST", headers });
		sent.on("error", () => undefined);
		sent.on("response", (response) => response.pause());
		sent.end(Buffer.concat([head, Buffer.from(message)]));
		let written = "";
		await vi.waitUntil(
			async () => {
				const before = written;
				written = await readFile(file, "utf8").catch(() => "");
				return written !== "" && written === before;
			},
			{ timeout: 20_000, interval: 500 },
		);
		return { pid: Number(written.split("\n", 1)[0]), leave: () => sent.destroy() };
	}

	const ENDLESS = "echo $$ > $FILE; while :; do head -c 100000 /dev/zero; echo >> $FILE; done";

	test.each([
		["SIGKILL", 9, "signal: killed", ENDLESS],
		["SIGTERM", 15, "signal: terminated", ENDLESS],
		["trapped SIGTERM", 15, "exit status 3", "trap 'exit 3' TERM; echo $$ > $FILE; cat /dev/zero & wait"],
	])("a subscriber that does not read keeps no %s from ending the process, nor the others from being told", async (...row) => {
		const [, signal, status, script] = row;
		const { pid, leave } = await unread(script);
		const joined = stream(agent, "process.Process/Connect", { process: { pid } });
		await joined.next();
		expect((await unary(agent, "process.Process/SendSignal", { process: { pid }, signal })).status).toBe(200);
		expect((await collect(joined)).at(-2)?.body.event.end.status).toBe(status);
		const { processes = [] } = await json(unary(agent, "process.Process/List", {}));
		expect(processes.map((each: { pid: number }) => each.pid)).not.toContain(pid);
		leave();
	});

	test("a process that goes on after SIGTERM loses nothing of what it prints to a slow reader", async () => {
		const script = "trap 'echo trapped' TERM; echo ready; read x; head -c 5000000 /dev/zero | tr '\\0' x; echo last; exit 4";
		const messages = stream(agent, "process.Process/Start", { process: { cmd: "sh", args: ["-c", script] }, stdin: true });
		const pid = (await messages.next()).value?.body.event.start.pid;
		let heard = output([(await messages.next()).value]);
		await unary(agent, "process.Process/SendSignal", { process: { pid }, signal: "SIGNAL_SIGTERM" });
		await unary(agent, "process.Process/SendInput", {
			process: { pid },
			input: { stdin: Buffer.from("go\n").toString("base64") },
		});
		await sleep(2_000);
		const rest = await collect(messages);
		heard += output(rest);
		expect(heard.replaceAll("x", "")).toBe("ready\ntrapped\nlast\n");
		expect(heard.match(/x/g)).toHaveLength(5_000_000);
		expect(rest.at(-2)?.body.event.end.status).toBe("exit status 4");
	});

	test("each of several subscribers gets all that comes after it joined", async () => {
		const command = await sandbox.commands.run("read x; seq 1 20000", { background: true, stdin: true });
		const joined = await sandbox.commands.connect(command.pid);
		await sandbox.commands.sendStdin(command.pid, "go\n");
		const [first, second] = await Promise.all([command.wait(), joined.wait()]);
		expect(first.stdout.split("\n")).toHaveLength(20001);
		expect(second.stdout).toBe(first.stdout);
	});

	test("silence is filled with keep-alives at the interval asked for", async () => {
		const request = { process: { cmd: "sleep", args: ["1.5"] } };
		const messages = await collect(
			stream(agent, "process.Process/Start", request, { headers: { "keepalive-ping-interval": "1" } }),
		);
		expect(messages.map(({ body }) => Object.keys(body.event ?? {})[0])).toEqual(["start", "keepalive", "end", undefined]);
	});
});

describe("input", () => {
	test("is taken until it is closed", async () => {
		const command = await sandbox.commands.run("cat; echo end", { background: true, stdin: true });
		await sandbox.commands.sendStdin(command.pid, "a".repeat(300_000));
		await sandbox.commands.closeStdin(command.pid);
		await sandbox.commands.closeStdin(command.pid).catch(() => undefined);
		expect((await command.wait()).stdout).toBe(`${"a".repeat(300_000)}end\n`);
	});

	test("may be closed again and again, and takes nothing any more", async () => {
		const command = await sandbox.commands.run("cat; read -t 5 x < /proc/self/fd/1", { background: true, stdin: true });
		const { pid } = command;
		for (let count = 0; count < 2; count++) {
			expect((await unary(agent, "process.Process/CloseStdin", { process: { pid } })).status).toBe(200);
		}
		const input = await unary(agent, "process.Process/SendInput", { process: { pid }, input: { stdin: "eA" } });
		expect([input.status, (await json(input)).code]).toEqual([500, "internal"]);
		await command.kill();
		await failure(command.wait());
	});

	test("that is too large for one message is refused with what to do, and the program goes on", async () => {
		const command = await sandbox.commands.run("head -c 4", { background: true, stdin: true });
		const large = Buffer.alloc(49 * 1024 * 1024, "x");
		const refusal = sandbox.commands.sendStdin(command.pid, large);
		await expect(refusal).rejects.toThrow(InvalidArgumentError);
		await expect(refusal).rejects.toThrow(/64 MiB.*48 MiB.*FIX: send input in pieces/);

		const message = JSON.stringify({ process: { pid: command.pid }, input: { stdin: large.toString("base64") } });
		const body = new Blob([message]).stream();
		const headers = { "content-type": "application/json" };
		const chunked = { method: "POST", headers, body, duplex: "half" } as const;
		const answer = await fetch(`${agent.url}/process.Process/SendInput`, chunked);
		expect([answer.status, (await json(answer)).code]).toEqual([400, "invalid_argument"]);

		await sandbox.commands.sendStdin(command.pid, "good");
		expect((await command.wait()).stdout).toBe("good");
	});

	test("comes in one stream, in any spelling of base64", async () => {
		const command = await sandbox.commands.run("head -c 4 | od -An -tx1", { background: true, stdin: true });
		const messages = [
			{ start: { process: { pid: command.pid } } },
			{ keepalive: {} },
			{ data: { input: { stdin: "-_8" } } },
			{ data: { input: { stdin: "+/8=" } } },
		];
		const answer = await clientStream(agent, "process.Process/StreamInput", messages);
		expect(answer).toEqual([
			{ flags: 0, body: {} },
			{ flags: 2, body: {} },
		]);
		expect((await command.wait()).stdout).toBe(" fb ff fb ff\n");
	});

	test("a command without input reads nothing, and refuses some", async () => {
		const command = await sandbox.commands.run("cat; sleep 1", { background: true });
		const answer = await unary(agent, "process.Process/SendInput", {
			process: { pid: command.pid },
			input: { stdin: "eA==" },
		});
		expect(answer.status).toBe(500);
		expect((await json(answer)).code).toBe("internal");
		await command.kill();
		await failure(command.wait());
	});

	test("of the wrong kind is refused", async () => {
		const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => undefined });
		const process = { pid: terminal.pid };
		expect((await unary(agent, "process.Process/SendInput", { process, input: { stdin: "eA==" } })).status).toBe(500);
		const close = await unary(agent, "process.Process/CloseStdin", { process });
		expect((await json(close)).message).toContain("0x04");
		await terminal.kill();
		await failure(terminal.wait());
	});
});

describe("selection", () => {
	test("by tag, and what does not exist is told so", async () => {
		const request = { process: { cmd: "sleep", args: ["600"], cwd: "/" }, tag: "mine" };
		const messages = stream(agent, "process.Process/Start", request);
		const pid = (await messages.next()).value?.body.event.start.pid;
		const { processes } = await json(unary(agent, "process.Process/List", {}));
		expect(processes).toContainEqual({ pid, tag: "mine", config: { cmd: "sleep", args: ["600"], cwd: "/" } });

		const signal = (tag: string) => unary(agent, "process.Process/SendSignal", { process: { tag }, signal: 9 });
		expect((await signal("mine")).status).toBe(200);
		await collect(messages);
		const unknown = await signal("other");
		expect([unknown.status, await json(unknown)]).toEqual([
			404,
			{ code: "not_found", message: "process with tag other not found" },
		]);
		await expect(sandbox.commands.connect(999_999)).rejects.toThrow(NotFoundError);
		expect(await sandbox.commands.kill(999_999)).toBe(false);
	});
});

describe("terminal", () => {
	test("has the size asked for, follows a resize, and ends with its shell's code", async () => {
		let seen = "";
		const terminal = await sandbox.pty.create({
			cols: 91,
			rows: 33,
			onData: (data) => {
				seen += Buffer.from(data).toString();
			},
		});
		const type = (text: string) => sandbox.pty.sendInput(terminal.pid, Buffer.from(text));
		await type("stty size; echo $TERM; tty\n");
		await expect.poll(() => seen, { timeout: 5000 }).toMatch(/33 91\s+xterm-256color\s+\/dev\/pts/);
		await sandbox.pty.resize(terminal.pid, { cols: 120, rows: 50 });
		await type("stty size\n");
		await expect.poll(() => seen, { timeout: 5000 }).toContain("50 120");
		await type("exit 3\n");
		expect(await failure(terminal.wait())).toMatchObject({ exitCode: 3 });
	});

	test("what has none cannot be resized", async () => {
		const command = await sandbox.commands.run("sleep 600", { background: true });
		const update = { process: { pid: command.pid }, pty: { size: { cols: 10, rows: 10 } } };
		const answer = await unary(agent, "process.Process/Update", update);
		expect([answer.status, (await json(answer)).code]).toEqual([500, "internal"]);
		await command.kill();
		await failure(command.wait());
	});

	test("a kill is told with code -1", async () => {
		const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => undefined });
		await terminal.kill();
		expect(await failure(terminal.wait())).toMatchObject({ exitCode: -1 });
	});

	test("another user's terminal is that user's", async () => {
		const messages = stream(
			agent,
			"process.Process/Start",
			{
				process: { cmd: "sh", args: ["-c", "id -un; test -O $(tty) && echo owner"], cwd: "/" },
				pty: { size: { cols: 80, rows: 24 } },
			},
			{ headers: { authorization: `Basic ${Buffer.from("nobody:").toString("base64")}` } },
		);
		expect(output(await collect(messages), "pty")).toBe("nobody\r\nowner\r\n");
	});
});

describe("many at once", () => {
	test("200 commands give their own output", { timeout: 60_000 }, async () => {
		const runs = await Promise.all(
			Array.from({ length: 200 }, async (_, index) => output(await collect(start("echo", [String(index)])))),
		);
		expect(runs).toEqual(Array.from({ length: 200 }, (_, index) => `${index}\n`));
	});
});

describe("after a crash of the daemon", () => {
	test("processes are still there, with their output and end", async () => {
		const file = join(directory, "go");
		const script = `while ! test -e ${file}; do sleep 0.1; done; echo survived; exit 4`;
		const request = { process: { cmd: "sh", args: ["-c", script], envs: { A: "1" } }, tag: "survivor" };
		const messages = stream(agent, "process.Process/Start", request);
		const pid = (await messages.next()).value?.body.event.start.pid;
		const broken = collect(messages).catch(() => undefined);
		await agent.killDaemon();
		await broken;
		await agent.startDaemon();

		const { processes } = await json(unary(agent, "process.Process/List", {}));
		expect(processes).toContainEqual({ pid, tag: "survivor", config: { cmd: "sh", args: ["-c", script], envs: { A: "1" } } });
		const again = stream(agent, "process.Process/Connect", { process: { tag: "survivor" } });
		await again.next();
		await sandbox.files.write(file, "");
		const rest = await collect(again);
		expect(output(rest)).toBe("survived\n");
		expect(rest.at(-2)?.body.event.end.exitCode).toBe(4);
	});
});
