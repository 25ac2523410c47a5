/** Every form of `commands` and `pty` of the JavaScript client, in one sandbox. */
import { AuthenticationError, CommandExitError, InvalidArgumentError, NotFoundError, Sandbox, TimeoutError } from "e2b";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rest } from "../support/rest.ts";
import { killAtEnd, newSandbox, sdk, until } from "../support/sandboxes.ts";

let sandbox: Sandbox;

beforeAll(async () => {
	sandbox = await Sandbox.create("base", { ...sdk(), envs: { GLOBAL: "global", BOTH: "global" } });
});

afterAll(() => sandbox?.kill());

async function failure(run: Promise<unknown>): Promise<unknown> {
	return await run.then(
		() => expect.fail("it should have failed"),
		(error: unknown) => error,
	);
}

describe("a command", () => {
	test("tells output, errors and exit code, and nothing of the login shell", async () => {
		expect(await sandbox.commands.run("echo out; echo err >&2")).toMatchObject({
			exitCode: 0,
			stdout: "out\n",
			stderr: "err\n",
		});
		const failed = await failure(sandbox.commands.run("echo partly; exit 7"));
		expect(failed).toBeInstanceOf(CommandExitError);
		expect(failed).toMatchObject({ exitCode: 7, error: "exit status 7", stdout: "partly\n" });
		expect(await sandbox.commands.run("true")).toMatchObject({ stdout: "", stderr: "" });
	});

	test("gets characters that fall on the border of two pieces of output whole", async () => {
		const { stdout } = await sandbox.commands.run("python3 -c 'print(\"\\u00e4\\U0001f40e\" * 30001)'");
		expect(stdout).toBe(`${"ä🐎".repeat(30_001)}\n`);
	});

	test("sees the sandbox's variables and its own, which win", async () => {
		const { stdout } = await sandbox.commands.run("echo $GLOBAL $BOTH $MINE $E2B_SANDBOX $E2B_SANDBOX_ID", {
			envs: { BOTH: "own", MINE: "mine" },
		});
		expect(stdout).toBe(`global own mine true ${sandbox.sandboxId}\n`);
		expect((await sandbox.commands.run("cat /run/e2b/.E2B_SANDBOX_ID")).stdout.trim()).toBe(sandbox.sandboxId);
	});

	test("runs as the user asked for, with the groups of that user", async () => {
		expect((await sandbox.commands.run("whoami; id -Gn; pwd")).stdout).toBe("user\nuser sudo\n/home/user\n");
		expect((await sandbox.commands.run("whoami; pwd", { user: "root" })).stdout).toBe("root\n/root\n");
		const unknown = await failure(sandbox.commands.run("true", { user: "nosuch" }));
		expect(String(unknown)).toContain("invalid username: 'nosuch'");
	});

	test("runs where it is told to: absolute, below the home, with ~; a place that is not there is named", async () => {
		await sandbox.commands.run("mkdir -p ~/deep/er");
		for (const [cwd, stands] of [
			["/tmp", "/tmp"],
			["deep/er", "/home/user/deep/er"],
			["~/deep", "/home/user/deep"],
		] as const) {
			expect((await sandbox.commands.run("pwd", { cwd })).stdout).toBe(`${stands}\n`);
		}
		const missing = await failure(sandbox.commands.run("pwd", { cwd: "/no/such" }));
		expect(missing).toBeInstanceOf(InvalidArgumentError);
		expect(String(missing)).toContain("cwd '/no/such' does not exist");
	});

	test("that takes longer than its time ends as a timeout, and its process with it", async () => {
		const slow = failure(sandbox.commands.run("exec sleep 7771", { timeoutMs: 1_000 }));
		expect(await slow).toBeInstanceOf(TimeoutError);
		await until("the process's end", async () => {
			return (await sandbox.commands.run("pgrep -xf 'sleep 7771' || true")).stdout === "";
		});
	});
});

describe("in the background", () => {
	test("a command is listed as it was asked for, and killed by its pid", async () => {
		const command = await sandbox.commands.run("sleep 600", { background: true, cwd: "/tmp", envs: { A: "b" } });
		expect(await sandbox.commands.list()).toContainEqual({
			pid: command.pid,
			cmd: "/bin/bash",
			args: ["-l", "-c", "sleep 600"],
			envs: { A: "b" },
			cwd: "/tmp",
			tag: undefined,
		});
		expect(await sandbox.commands.kill(command.pid)).toBe(true);
		expect(await failure(command.wait())).toMatchObject({ exitCode: -1, error: "signal: killed" });
		expect(await sandbox.commands.kill(command.pid)).toBe(false);
		expect((await sandbox.commands.list()).map(({ pid }) => pid)).not.toContain(command.pid);
	});

	test("a kill ends the command at once and leaves alone what it started, though that holds its output", async () => {
		const command = await sandbox.commands.run("sleep 7774 & echo $!; wait", { background: true });
		await until("the child's pid", async () => command.stdout.endsWith("\n"));
		await command.kill();
		expect(await failure(command.wait())).toMatchObject({ exitCode: -1, error: "signal: killed" });
		const child = command.stdout.trim();
		expect((await sandbox.commands.run(`tr '\\0' ' ' < /proc/${child}/cmdline; kill ${child}`)).stdout).toBe("sleep 7774 ");
	});

	test("a command goes on when its client leaves; another one joins and gets what follows", async () => {
		const first = await sandbox.commands.run("echo early; read word; echo got $word", { background: true, stdin: true });
		await until("the first output", async () => first.stdout === "early\n");
		await first.disconnect();
		const heard: string[] = [];
		const [second, third] = [
			await sandbox.commands.connect(first.pid, { onStdout: (text) => void heard.push(text) }),
			await sandbox.commands.connect(first.pid),
		];
		await sandbox.commands.sendStdin(first.pid, "it\n");
		expect((await second.wait()).stdout).toBe("got it\n");
		expect((await third.wait()).stdout).toBe("got it\n");
		expect(heard.join("")).toBe("got it\n");
	});

	test("who joins after the end is told how it ended; a pid that never was is not found", async () => {
		const command = await sandbox.commands.run("exit 5", { background: true });
		await failure(command.wait());
		const late = await sandbox.commands.connect(command.pid);
		expect(await failure(late.wait())).toMatchObject({ exitCode: 5 });
		expect(await failure(sandbox.commands.connect(999_999))).toBeInstanceOf(NotFoundError);
	});
});

describe("standard input", () => {
	test("is sent as text and as bytes, and closed", async () => {
		const command = await sandbox.commands.run("wc -c", { background: true, stdin: true });
		await sandbox.commands.sendStdin(command.pid, "ä\n");
		await sandbox.commands.sendStdin(command.pid, new Uint8Array([0, 255]));
		await sandbox.commands.closeStdin(command.pid);
		expect((await command.wait()).stdout).toBe("5\n");
	});

	test("of the wrong kind or to an input that was closed is refused, and so is a resize of what is no terminal", async () => {
		const command = await sandbox.commands.run("sleep 600", { background: true, stdin: true });
		await expect(sandbox.pty.sendInput(command.pid, new Uint8Array([65]))).rejects.toThrow("internal");
		await expect(sandbox.pty.resize(command.pid, { cols: 80, rows: 24 })).rejects.toThrow("internal");
		await sandbox.commands.closeStdin(command.pid);
		await sandbox.commands.closeStdin(command.pid);
		await expect(sandbox.commands.sendStdin(command.pid, "late")).rejects.toThrow("internal");
		await command.kill();
		const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => undefined });
		await expect(sandbox.commands.sendStdin(terminal.pid, "x")).rejects.toThrow("internal");
		await expect(sandbox.commands.closeStdin(terminal.pid)).rejects.toThrow("0x04");
		await terminal.kill();
	});

	test("is empty unless asked for", async () => {
		expect((await sandbox.commands.run("cat; echo done")).stdout).toBe("done\n");
	});
});

describe("a terminal", () => {
	test("has its size, type and locale, follows a resize, takes input, is rejoined, and ends with its shell", async () => {
		let screen = "";
		const decoder = new TextDecoder();
		const show = (data: Uint8Array) => {
			screen += decoder.decode(data, { stream: true });
		};
		const terminal = await sandbox.pty.create({ cols: 100, rows: 30, cwd: "/tmp", envs: { MINE: "mine" }, onData: show });
		const type = (text: string) => sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode(text));
		await type('echo "[$(stty size) $TERM $LC_ALL $PWD $MINE]"\n');
		await until("the answer", async () => screen.includes("[30 100 xterm-256color C.UTF-8 /tmp mine]"));
		await sandbox.pty.resize(terminal.pid, { cols: 90, rows: 20 });
		await type('echo "[$(tput cols)]"\n');
		await until("the new size", async () => screen.includes("[90]"));

		await terminal.disconnect();
		screen = "";
		const again = await sandbox.pty.connect(terminal.pid, { onData: show });
		await type("echo '[re''joined]'\n");
		await until("the answer to who rejoined", async () => screen.includes("[rejoined]"));
		await type("exit\n");
		expect(await again.wait()).toMatchObject({ exitCode: 0 });
	});

	test("that is killed tells -1", async () => {
		const terminal = await sandbox.pty.create({ cols: 80, rows: 24, user: "root", onData: () => undefined });
		expect(await sandbox.pty.kill(terminal.pid)).toBe(true);
		expect(await failure(terminal.wait())).toMatchObject({ exitCode: -1 });
		expect(await sandbox.pty.kill(terminal.pid)).toBe(false);
	});
});

test("after a pause, commands and terminals are joined by the pids they had, and the clock is right", async () => {
	const paused = await newSandbox();
	let screen = "";
	const show = (data: Uint8Array) => {
		screen += new TextDecoder().decode(data);
	};
	const terminal = await paused.pty.create({ cols: 80, rows: 24, timeoutMs: 0, onData: () => undefined });
	const type = (text: string) => paused.pty.sendInput(terminal.pid, new TextEncoder().encode(text));
	await type("HELD=kept\n");
	const command = await paused.commands.run("read word; echo got $word", { background: true, stdin: true, timeoutMs: 0 });
	const ends = Promise.all([failure(terminal.wait()), failure(command.wait())]);
	await paused.pause();
	await ends;
	await paused.connect();
	expect((await paused.commands.list()).map(({ pid }) => pid).sort()).toEqual([terminal.pid, command.pid].sort());
	const joined = await paused.commands.connect(command.pid);
	await paused.commands.sendStdin(command.pid, "it\n");
	expect((await joined.wait()).stdout).toBe("got it\n");
	await paused.pty.connect(terminal.pid, { onData: show });
	await type('echo "[$HELD]"\n');
	await until("what the shell held", async () => screen.includes("[kept]"));

	// The bounds within which E2B's daemon leaves a clock alone.
	const before = Date.now();
	const clock = Number((await paused.commands.run("date +%s%3N")).stdout);
	expect(clock).toBeGreaterThan(before - 50);
	expect(clock).toBeLessThan(Date.now() + 5_000);
});

test("when a sandbox is killed, its running commands, terminals and watches end and say so", async () => {
	const doomed = await newSandbox();
	const command = await doomed.commands.run("sleep 600", { background: true });
	const terminal = await doomed.pty.create({ cols: 80, rows: 24, onData: () => undefined });
	const watchEnd = Promise.withResolvers<Error | undefined>();
	await doomed.files.watchDir("/tmp", () => undefined, { onExit: (error) => watchEnd.resolve(error) });
	const ends = [failure(command.wait()), failure(terminal.wait()), watchEnd.promise];
	await doomed.kill();
	for (const end of await Promise.all(ends)) {
		expect(end).toBeInstanceOf(TimeoutError);
		expect(String(end)).toMatch(/killed or reached its end of life/);
	}
	expect(await doomed.isRunning()).toBe(false);
});

test("a sandbox without a token is open to everyone who knows its address", async () => {
	const { body } = await rest("POST", "/sandboxes", { templateID: "base", secure: false });
	const open = killAtEnd(await Sandbox.connect(body.sandboxID, sdk()));
	expect((await open.commands.run("echo open")).stdout).toBe("open\n");
	const statuses = [open, sandbox].map(async ({ sandboxId }) => {
		const headers = { "E2b-Sandbox-Id": sandboxId, "E2b-Sandbox-Port": "49983" };
		return (await fetch(`${sdk().sandboxUrl}/envs`, { headers })).status;
	});
	expect(await Promise.all(statuses)).toEqual([200, 401]);
});

test("a wrong token opens nothing", async () => {
	const { sandboxId } = sandbox;
	const stranger = new Sandbox({ ...sdk(), sandboxId, envdVersion: "0.6.13", envdAccessToken: "wrong" });
	expect(await failure(stranger.commands.run("true"))).toBeInstanceOf(AuthenticationError);
	expect(await failure(stranger.commands.list())).toBeInstanceOf(AuthenticationError);
	expect(await failure(stranger.files.read("/etc/hostname"))).toBeInstanceOf(AuthenticationError);
	expect(await failure(stranger.files.write("note", "x"))).toBeInstanceOf(AuthenticationError);
});

test("a daemon that crashed is back, with the commands that it had, the sandbox's variables and its token", async () => {
	const own = await newSandbox("base", { envs: { GLOBAL: "global" } });
	const command = await own.commands.run("read word; echo got $word", { background: true, stdin: true, timeoutMs: 0 });
	const left = failure(command.wait());
	const crash = "kill -9 $(ss -Htlnp sport = :49983 | grep -o 'pid=[0-9]*' | cut -d= -f2)";
	await own.commands.run(crash, { user: "root" }).catch(() => undefined);
	await left;
	const listed = async () => (await own.commands.list().catch(() => [])).map(({ pid }) => pid);
	await until("the daemon", async () => (await listed()).includes(command.pid));
	const joined = await own.commands.connect(command.pid);
	await own.commands.sendStdin(command.pid, "it\n");
	expect((await joined.wait()).stdout).toBe("got it\n");
	const { stdout } = await own.commands.run("echo $GLOBAL $E2B_SANDBOX_ID; whoami; pwd");
	expect(stdout).toBe(`global ${own.sandboxId}\nuser\n/home/user\n`);
	const stranger = new Sandbox({ ...sdk(), sandboxId: own.sandboxId, envdVersion: "0.6.13", envdAccessToken: "wrong" });
	expect(await failure(stranger.commands.list())).toBeInstanceOf(AuthenticationError);
});

test("the daemon has the version up to which its protocol is known", async () => {
	const { body } = await rest("GET", `/sandboxes/${sandbox.sandboxId}`);
	expect(body.envdVersion).toBe("0.6.13");
});
