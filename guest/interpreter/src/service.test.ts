import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { testPython } from "./testing/python.ts";
import { startTestSandbox, type TestEvent, type TestSandbox } from "./testing/sandbox.ts";

let sandbox: TestSandbox;

beforeAll(async () => {
	sandbox = await startTestSandbox();
}, 300_000);

afterAll(() => sandbox?.close());

const text = (events: readonly TestEvent[]) => events.find((event) => event.type === "result");

describe("access", () => {
	it("is not healthy before the default contexts are up", async () => {
		const starting = await startTestSandbox({ untilReady: false });
		try {
			const early = await starting.request("GET", "/health");
			expect([early.status, await early.text()]).toEqual([503, "The default contexts are starting"]);
			await starting.interpreter.ready;
			const health = await starting.request("GET", "/health");
			expect([health.status, await health.json()]).toEqual([200, "OK"]);
			const contexts = await starting.client().listCodeContexts();
			expect(contexts.map(({ language }) => language)).toEqual(["python", "javascript"]);
		} finally {
			await starting.close();
		}
	});

	it("answers health and contexts without a token, executions only with the sandbox's", async () => {
		const health = await sandbox.request("GET", "/health", { token: "" });
		expect([health.status, await health.json()]).toEqual([200, "OK"]);
		expect((await sandbox.request("GET", "/contexts", { token: "" })).status).toBe(200);

		for (const token of ["", "wrong"]) {
			const refused = await sandbox.request("POST", "/execute", { body: { code: "1" }, token });
			expect(refused.status).toBe(401);
			expect(await refused.json()).toMatchObject({ code: 401 });
		}
	});

	it("notices at once that the token changed, as it does in a clone", async () => {
		const old = sandbox.accessToken;
		sandbox.accessToken = "token-of-the-clone";
		try {
			expect((await sandbox.request("POST", "/execute", { body: { code: "1" }, token: old })).status).toBe(401);
			expect(text(await sandbox.execute({ code: "1 + 1" }))).toMatchObject({ text: "2" });
		} finally {
			sandbox.accessToken = old;
		}
	});

	it("lets pages of any origin call it", async () => {
		const preflight = await sandbox.request("OPTIONS", "/execute");
		expect(preflight.status).toBe(200);
		expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
	});
});

describe("bad requests", () => {
	it.each([
		["no code", { cod: "1" }, 422],
		["code that is no string", { code: 1 }, 422],
		["an impossible variable", { code: "1", env_vars: { "A=B": "1" } }, 422],
		["broken JSON", "{", 422],
		["context and language", { code: "1", context_id: "x", language: "python" }, 400],
		["an unknown context", { code: "1", context_id: "nope" }, 404],
		["an unknown language", { code: "1", language: "cobol" }, 500],
		["a kernel that is not installed", { code: "1", language: "java" }, 500],
	])("refuses %s", async (_name, body, status) => {
		const response = await sandbox.request("POST", "/execute", { body });
		expect(response.status).toBe(status);
		await response.text();
	});

	it("takes empty strings for what is not there", async () => {
		const { id } = await sandbox.client().createCodeContext();
		await sandbox.execute({ code: "where = 'here'", context_id: id });
		expect(text(await sandbox.execute({ code: "where", context_id: id, language: "" }))).toMatchObject({ text: "here" });
		expect(text(await sandbox.execute({ code: "typeof where", context_id: "", language: "js" }))).toMatchObject({
			text: "undefined",
		});
		expect(text(await sandbox.execute({ code: "1 + 1", context_id: "", language: "" }))).toMatchObject({ text: "2" });
		const made = await sandbox.request("POST", "/contexts", { body: { language: "", cwd: "" } });
		const context: { id: string } = JSON.parse(await made.text());
		expect(context).toMatchObject({ language: "python", cwd: sandbox.home });
		for (const each of [id, context.id]) await sandbox.client().removeCodeContext(each);
	});

	it.each(["cobol", "__proto__", "constructor"])("says that there is no language %s", async (language) => {
		const response = await sandbox.request("POST", "/execute", { body: { code: "1", language } });
		expect(await response.text()).toContain(`language "${language}" is not supported`);
	});

	it("says which context is missing", async () => {
		const response = await sandbox.request("POST", "/execute", { body: { code: "1", context_id: "nope" } });
		expect(await response.text()).toBe("Context nope not found");
		expect((await sandbox.request("POST", "/contexts/nope/restart")).status).toBe(404);
		expect((await sandbox.request("DELETE", "/contexts/nope")).status).toBe(404);
		expect((await sandbox.request("POST", "/contexts", { body: { cwd: "/does/not/exist" } })).status).toBe(500);
	});
});

describe("contexts", () => {
	it("are created with a directory, listed in order, restarted in place and removed", async () => {
		const client = sandbox.client();
		const context = await client.createCodeContext({ cwd: "/" });
		expect(context).toMatchObject({ language: "python", cwd: "/" });
		expect((await client.listCodeContexts()).map(({ language }) => language)).toEqual(["python", "javascript", "python"]);

		await client.runCode("x = 1; import os", { context });
		expect((await client.runCode("x, os.getcwd()", { context })).text).toBe("(1, '/')");
		expect((await client.runCode("x")).error?.name).toBe("NameError");

		await client.restartCodeContext(context);
		const after = await client.runCode("x", { context });
		expect(after.error?.value).toBe("name 'x' is not defined");
		expect(after.executionCount).toBe(1);

		await client.removeCodeContext(context);
		expect((await client.listCodeContexts()).map(({ id }) => id)).not.toContain(context.id);
		await expect(client.runCode("1", { context })).rejects.toThrow("not found");
	});

	it("run in parallel, each one execution at a time", async () => {
		const client = sandbox.client();
		const other = await client.createCodeContext();
		// The first cell ends only if the second context runs meanwhile.
		const path = `${sandbox.home}/meeting`;
		const waiting = client.runCode(`import os, time\nwhile not os.path.exists(${JSON.stringify(path)}): time.sleep(0.01)\n"met"`);
		const queued = client.runCode("'next'");
		await client.runCode(`open(${JSON.stringify(path)}, "w").close()`, { context: other });
		expect([(await waiting).text, (await queued).text]).toEqual(["met", "next"]);
		await client.removeCodeContext(other);
	});

	it("report a kernel that dies and bring up another", async () => {
		const events = await sandbox.execute({ code: "import os, signal; os.kill(os.getpid(), signal.SIGKILL)" });
		expect(events.slice(-2)).toMatchObject([{ type: "error", name: "ContextRestarting" }, { type: "end_of_execution" }]);
		expect(text(await sandbox.execute({ code: "2 + 2" }))).toMatchObject({ text: "4" });
	});

	it("take no cell with them when one calls exit()", async () => {
		for (const code of ["exit()", "get_ipython().ask_exit()"]) {
			const context = await sandbox.client().createCodeContext();
			await sandbox.client().runCode("kept = 1", { context });
			expect((await sandbox.client().runCode(code, { context })).error).toBeUndefined();
			// The kernel would end 0.1 s after its reply; cells are sent as fast as they are done, until long after that.
			const errors = [];
			for (const end = Date.now() + 400; Date.now() < end; ) {
				errors.push((await sandbox.client().runCode("kept", { context })).error?.name);
			}
			expect(new Set(errors)).toEqual(new Set(["NameError"]));
			expect((await sandbox.client().runCode("exit(keep_kernel=True)\nkept = 2", { context })).error).toBeUndefined();
			expect((await sandbox.client().runCode("kept", { context })).text).toBe("2");
			await sandbox.client().removeCodeContext(context);
		}
	});

	it("let exit handlers and threads of a cell that calls exit() come to their end", async () => {
		const context = await sandbox.client().createCodeContext();
		const path = (name: string) => `${sandbox.home}/${name}`;
		const code = `import atexit, threading, time
def leave(path):
    time.sleep(2)
    open(path, "w").close()
atexit.register(leave, ${JSON.stringify(path("handler"))})
threading.Thread(target=leave, args=(${JSON.stringify(path("thread"))},)).start()
exit()`;
		expect((await sandbox.client().runCode(code, { context })).error).toBeUndefined();
		expect([existsSync(path("thread")), existsSync(path("handler"))]).toEqual([true, true]);
		await sandbox.client().removeCodeContext(context);
	});

	it("do not wait for the exit handlers of a cell whose client goes away", { timeout: 20_000 }, async () => {
		const context = await sandbox.client().createCodeContext();
		const code = "import atexit, time\natexit.register(time.sleep, 300)\nprint('on', flush=True)\nexit()";
		const leave = new AbortController();
		const body = { code, context_id: context.id };
		const response = await sandbox.request("POST", "/execute", { body, signal: leave.signal });
		for await (const chunk of response.body ?? []) if (Buffer.from(chunk).includes("stdout")) break;
		leave.abort();
		expect(text(await sandbox.execute({ code: "2 + 2", context_id: context.id }))).toMatchObject({ text: "4" });
		await sandbox.client().removeCodeContext(context);
	});

	it("end a running execution with an error when they are restarted or removed", async () => {
		const client = sandbox.client();
		const context = await client.createCodeContext();
		const started = Promise.withResolvers<void>();
		const code = "import time; print('on', flush=True); time.sleep(60)";
		const restarted = client.runCode(code, { context, onStdout: () => started.resolve() });
		await started.promise;
		await client.restartCodeContext(context);
		expect((await restarted).error?.name).toBe("ContextRestarting");

		const again = Promise.withResolvers<void>();
		const removed = client.runCode(code, { context, onStdout: () => again.resolve() });
		await again.promise;
		await client.removeCodeContext(context);
		expect((await removed).error?.name).toBe("UnexpectedEndOfExecution");
	});
});

describe("a client that goes away", () => {
	it.each([
		["python", "keep = 7\nimport time\nprint('on', flush=True)\ntime.sleep(300)", "keep"],
		["python", "keep = 7\nprint('on', flush=True)\nwhile True: pass", "keep"],
		["python", "keep = 7\nprint('on', flush=True)\n!sleep 300", "keep"],
		["javascript", "let keep = 7; console.log('on'); for (;;);", "keep"],
		["javascript", "let keep = 7; console.log('on'); await new Promise(() => {})", "keep"],
		["javascript", "let keep = 7; await null; console.log('on'); for (;;);", "keep"],
		["javascript", "let keep = 7; console.log('on'); require('child_process').execSync('sleep 300')", "keep"],
	])("interrupts %s and keeps its state: %j", async (language, code, expression) => {
		const leave = new AbortController();
		const response = await sandbox.request("POST", "/execute", { body: { code, language }, signal: leave.signal });
		for await (const chunk of response.body ?? []) if (Buffer.from(chunk).includes("stdout")) break;
		leave.abort();
		expect(text(await sandbox.execute({ code: expression, language }))).toMatchObject({ text: "7" });
	});

	it("gives up its place in the queue", async () => {
		const leave = new AbortController();
		const first = sandbox.execute({ code: "import time; time.sleep(0.5); ran = False" });
		const second = await sandbox.request("POST", "/execute", { body: { code: "ran = True" }, signal: leave.signal });
		leave.abort();
		await first;
		expect(text(await sandbox.execute({ code: "ran" }))).toMatchObject({ text: "False" });
		await second.text().catch(() => undefined);
	});
});

describe("the stream", () => {
	it("gives signs of life while a cell is silent", async () => {
		const events = await sandbox.execute({ code: "import time; time.sleep(6)" });
		expect(events.map(({ type }) => type)).toEqual(["number_of_executions", "keepalive", "end_of_execution"]);
	});

	it("is plain ASCII, so that no character is cut in two", async () => {
		const response = await sandbox.request("POST", "/execute", { body: { code: "print('žluťoučký 🐎')" } });
		const bytes = Buffer.from(await response.arrayBuffer());
		expect(bytes.every((byte) => byte < 0x80)).toBe(true);
		expect((await sandbox.client().runCode("print('žluťoučký 🐎')")).logs.stdout).toEqual(["žluťoučký 🐎\n"]);
	});

	it("loses nothing of a burst of results", async () => {
		const events = await sandbox.execute({ code: "for i in range(2500): display(i)" });
		expect(events.filter(({ type }) => type === "result")).toHaveLength(2500);
	});

	it("holds a kernel back while its client does not read", async () => {
		const leave = new AbortController();
		const code = "for (let i = 0; i < 1e6; i++) console.log('x'.repeat(1000)); globalThis.all = true";
		const response = await sandbox.request("POST", "/execute", { body: { code, language: "js" }, signal: leave.signal });
		await sleep(1_000);
		leave.abort();
		await response.text().catch(() => undefined);
		expect(text(await sandbox.execute({ code: "String(globalThis.all)", language: "js" }))).toMatchObject({ text: "undefined" });
	});
});

describe("environment", () => {
	const read: Record<string, string> = {
		python: "import os; print(os.environ.get('A', '-'), os.environ.get('B', '-'))",
		javascript: "console.log(process.env.A ?? '-', process.env.B ?? '-')",
		typescript: "console.log(process.env.A ?? '-' as string, process.env.B ?? '-')",
		// biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own.
		bash: "echo ${A:--} ${B:--}",
	};

	it.each(Object.keys(read))("of the sandbox and of one run reach %s, and go again", async (language) => {
		const client = sandbox.client();
		const run = async (envs?: Record<string, string>) => {
			const { logs } = await client.runCode(read[language] ?? "", { language, ...(envs ? { envs } : {}) });
			return logs.stdout.join("").trim();
		};
		sandbox.environment = { A: "global" };
		expect(await run()).toBe("global -");
		expect(await run({ A: 'it\'s "mine" $HOME', B: "žluť" })).toBe('it\'s "mine" $HOME žluť');
		expect(await run()).toBe("global -");
		sandbox.environment = { B: "of the clone" };
		expect(await run()).toBe("- of the clone");
		sandbox.environment = {};
		expect(await run()).toBe("- -");
	});
});

describe("reseeding", () => {
	const draws: Record<string, string> = {
		python: "import random, numpy\n(random.random(), float(numpy.random.rand()))",
		javascript: "[Math.random(), Math.random()]",
	};
	const draw = async (language: string) => text(await sandbox.execute({ code: draws[language], language }));

	it.each(Object.keys(draws))("decides the numbers that %s draws next", async (language) => {
		await draw(language);
		expect(await sandbox.reseed(Buffer.alloc(32, 1))).toBe(204);
		const first = await draw(language);
		await sandbox.reseed(Buffer.alloc(32, 2));
		const second = await draw(language);
		await sandbox.reseed(Buffer.alloc(32, 1));
		expect(await draw(language)).toEqual(first);
		expect(second).not.toEqual(first);
	});

	it("is invisible: no output, no execution counted", async () => {
		const before = await sandbox.client().runCode("1");
		await sandbox.reseed(Buffer.alloc(32, 3));
		expect((await sandbox.client().runCode("1")).executionCount).toBe((before.executionCount ?? 0) + 1);
	});

	it("reaches kernels that are busy", async () => {
		const entropy = Buffer.alloc(32, 4);
		await sandbox.reseed(entropy);
		const code: Record<string, string> = {
			python: "import random\nrandom.random()",
			javascript: "Math.random()",
		};
		const first = async (language: string) => text(await sandbox.execute({ code: code[language], language }));
		const [python, javascript] = [await first("python"), await first("javascript")];

		// Each cell ends when it draws the number that follows the seed.
		const busy = [
			sandbox.client().runCode(`print("on", flush=True)\nwhile random.random() != ${python?.text}: pass\n"reseeded"`),
			sandbox
				.client()
				.runCode(`console.log("on"); while (Math.random() !== ${javascript?.text}); "reseeded"`, { language: "js" }),
		];
		await sleep(300);
		expect(await sandbox.reseed(entropy)).toBe(204);
		expect((await Promise.all(busy)).map((execution) => execution.text)).toEqual(["reseeded", "reseeded"]);
	});

	it("refuses anything but 32 bytes", async () => {
		expect(await sandbox.reseed(Buffer.alloc(31))).toBe(400);
	});
});

describe("an interpreter of its own", () => {
	let own: TestSandbox;

	/** Processes that were started with the sandbox's home directory: its kernels and what they started. */
	const kernels = (home: string) =>
		readdirSync("/proc").filter((pid) => {
			try {
				return pid !== String(process.pid) && readFileSync(`/proc/${pid}/environ`, "utf8").includes(`HOME=${home}\0`);
			} catch {
				return false;
			}
		});

	beforeEach(async () => {
		own = await startTestSandbox();
	});

	afterEach(() => own.close());

	it("slows down those who call contexts too often, and nobody else", async () => {
		const answers = await Promise.all(Array.from({ length: 100 }, () => own.request("GET", "/contexts")));
		expect(answers.map(({ status }) => status)).toContain(429);
		await Promise.all(answers.map((answer) => answer.text()));
		expect((await own.request("GET", "/health")).status).toBe(200);
		expect(text(await own.execute({ code: "1" }))).toMatchObject({ text: "1" });
	});

	it("lets nobody execute while the agent is away", async () => {
		await own.closeAgent();
		const response = await own.request("POST", "/execute", { body: { code: "1" } });
		expect(response.status).toBe(503);
		await response.text();
	});

	it("ends with all its kernels", async () => {
		await own.execute({ code: "1", language: "bash" });
		expect(kernels(own.home).length).toBeGreaterThanOrEqual(3);
		await own.close();
		expect(kernels(own.home)).toEqual([]);
	});

	it("leaves no kernel behind when it is killed", async () => {
		const home = join(own.home, "killed");
		await mkdir(home);
		const main = spawn(process.execPath, [join(import.meta.dirname, "main.ts")], {
			env: {
				PATH: process.env.PATH,
				HOME: home,
				OFFSHOOT_PYTHON: await testPython(),
				OFFSHOOT_INTERPRETER_HOST: "127.0.0.1",
				OFFSHOOT_INTERPRETER_PORT: "0",
				OFFSHOOT_INTERPRETER_INTERNAL_PORT: "0",
				OFFSHOOT_INTERPRETER_CWD: home,
				OFFSHOOT_INTERPRETER_RUN: join(home, "run"),
			},
			stdio: "ignore",
		});
		await vi.waitFor(() => expect(kernels(home)).toHaveLength(3), 10_000);
		main.kill("SIGKILL");
		await vi.waitFor(() => expect(kernels(home)).toEqual([]), 10_000);
	});
});
