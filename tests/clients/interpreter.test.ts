/** The JavaScript code-interpreter client, in one sandbox. */
import { type Result, Sandbox } from "@e2b/code-interpreter";
import { NotFoundError, SandboxError, TimeoutError } from "e2b";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rest } from "../support/rest.ts";
import { newCodeSandbox, sdk, until } from "../support/sandboxes.ts";

let sandbox: Sandbox;

beforeAll(async () => {
	sandbox = await Sandbox.create({ ...sdk(), envs: { GLOBAL: "global" } });
});

afterAll(() => sandbox?.kill());

async function failure(run: Promise<unknown>): Promise<unknown> {
	return await run.then(
		() => expect.fail("it should have failed"),
		(error: unknown) => error,
	);
}

describe("running code", () => {
	test("keeps state and counts executions", async () => {
		const first = await sandbox.runCode("x = 1; x");
		const second = await sandbox.runCode("x += 1; x");
		expect([first.text, second.text]).toEqual(["1", "2"]);
		expect(second.executionCount).toBe((first.executionCount ?? 0) + 1);
	});

	test("calls back for output, results and errors as they come", async () => {
		const seen: string[] = [];
		const execution = await sandbox.runCode("import sys\nprint('out')\nprint('err', file=sys.stderr)\ndisplay('shown')\n1 / 0", {
			onStdout: ({ line }) => void seen.push(`out ${line}`),
			onStderr: ({ line, error }) => void seen.push(`err ${error} ${line}`),
			onResult: ({ text, isMainResult }) => void seen.push(`result ${isMainResult} ${text}`),
			onError: ({ name, value }) => void seen.push(`${name} ${value}`),
		});
		expect(seen.filter((each) => !each.startsWith("err"))).toEqual([
			"out out\n",
			"result false shown",
			"ZeroDivisionError division by zero",
		]);
		expect(seen).toContain("err true err\n");
		expect(execution.logs).toEqual({ stdout: ["out\n"], stderr: ["err\n"] });
		expect(execution.error?.traceback).toContain("ZeroDivisionError");
	});

	test.each([
		["python", "import os; print(os.getcwd(), os.environ['GLOBAL'])", "/home/user global\n"],
		["js", "console.log(process.cwd(), process.env.GLOBAL)", "/home/user global\n"],
		["ts", "const cwd: string = process.cwd(); console.log(cwd, process.env.GLOBAL)", "/home/user global\n"],
		["bash", "echo $PWD $GLOBAL", "/home/user global\n"],
	])("in %s starts in the home of user, with the sandbox's variables", async (language, code, output) => {
		expect((await sandbox.runCode(code, { language })).logs.stdout.join("")).toBe(output);
	});

	test.each([
		["python", "import os; os.environ.get('GLOBAL', '-') + os.environ.get('MINE', '-')"],
		["js", "(process.env.GLOBAL ?? '-') + (process.env.MINE ?? '-')"],
		["ts", "(process.env.GLOBAL ?? '-') + (process.env.MINE ?? '-') as string"],
	])("in %s with variables of one run takes them back afterwards", async (language, code) => {
		const texts = [];
		for (const envs of [{}, { GLOBAL: "own", MINE: "mine" }, {}])
			texts.push((await sandbox.runCode(code, { language, envs })).text);
		expect(texts).toEqual(["global-", "ownmine", "global-"]);
	});

	test.each([
		["python", "import os; print(os.getuid(), os.environ['HOME'], os.path.expanduser('~'))"],
		["js", "const os = require('os'); console.log(process.getuid(), process.env.HOME, os.homedir())"],
		["ts", "const os = require('os'); console.log(process.getuid!(), process.env.HOME, os.homedir())"],
		["bash", "echo $(id -u) $HOME ~"],
	])("in %s runs as root, with its home", async (language, code) => {
		expect((await sandbox.runCode(code, { language })).logs.stdout.join("")).toBe("0 /root /root\n");
	});

	test("knows languages by other names, in any case", async () => {
		for (const language of [" JS", "JavaScript"])
			expect((await sandbox.runCode("typeof process", { language })).text).toBe("object");
		expect((await sandbox.runCode("let own: number = 3; own", { language: "TypeScript " })).text).toBe("3");
		expect((await sandbox.runCode("own", { language: "ts" })).text).toBe("3");
		expect((await sandbox.runCode("typeof own", { language: "js" })).text).toBe("undefined");
	});

	test("in JavaScript imports modules and awaits at the top; in TypeScript strips types", async () => {
		const code = "import { readFileSync } from 'fs';\nconst text = await Promise.resolve(typeof readFileSync);\ntext";
		expect((await sandbox.runCode(code, { language: "js" })).text).toBe("function");
		const typed = "interface A { b: number }\nconst a: A = { b: 2 };\na.b";
		expect((await sandbox.runCode(typed, { language: "ts" })).text).toBe("2");
		expect((await sandbox.runCode(typed, { language: "js" })).text).toBe("2");
		expect((await sandbox.runCode("const text = { again: 1 }\ntext.again", { language: "js" })).text).toBe("1");
	});

	test.each(["js", "ts"])("in %s that is nested too deep is an error of the cell alone", async (language) => {
		await sandbox.runCode("var kept = 4", { language });
		const { error } = await sandbox.runCode(`const deep: any = ${"(".repeat(50_000)}1${")".repeat(50_000)}`, { language });
		expect(error?.name).toMatch(/^(Range|Syntax)Error$/);
		expect((await sandbox.runCode("const after: number = kept + 1; after", { language })).text).toBe("5");
	});

	test("knows shell lines and indented cells", async () => {
		expect((await sandbox.runCode("!pwd")).logs.stdout.join("").trim()).toBe("/home/user");
		expect((await sandbox.runCode("    y = 3\n    y")).text).toBe("3");
	});

	test("that takes too long is a timeout; the kernel is interrupted and keeps its state", async () => {
		await sandbox.runCode("kept = 42");
		expect(await failure(sandbox.runCode("import time; time.sleep(300)", { timeoutMs: 1_500 }))).toBeInstanceOf(TimeoutError);
		expect((await sandbox.runCode("kept")).text).toBe("42");
	});

	test.each(["cobol", "rust"])("in %s, which has no kernel, says so", async (language) => {
		const error = await failure(sandbox.runCode("1", { language }));
		expect(error).toBeInstanceOf(SandboxError);
		expect(String(error)).toMatch(new RegExp(`500 Internal Server Error: .*"${language}"`));
		expect(String(await failure(sandbox.createCodeContext({ language })))).toContain(`"${language}"`);
	});
});

describe("results", () => {
	test("carry every form of a value", async () => {
		const execution = await sandbox.runCode(`
class Everything:
    def _repr_html_(self): return "<b>"
    def _repr_markdown_(self): return "**m**"
    def _repr_svg_(self): return "<svg/>"
    def _repr_latex_(self): return "$l$"
    def _repr_javascript_(self): return "alert(1)"
    def _repr_json_(self): return {"k": [1]}
    def _repr_png_(self): return b"png"
    def _repr_jpeg_(self): return b"jpeg"
    def _repr_pdf_(self): return b"pdf"
    def __repr__(self): return "plain"
Everything()`);
		expect(execution.results).toHaveLength(1);
		const [result] = execution.results;
		expect(result).toMatchObject({
			isMainResult: true,
			text: "plain",
			html: "<b>",
			markdown: "**m**",
			svg: "<svg/>",
			latex: "$l$",
			javascript: "alert(1)",
			json: { k: [1] },
			png: expect.stringContaining(btoa("png")),
			jpeg: expect.stringContaining(btoa("jpeg")),
			pdf: expect.stringContaining(btoa("pdf")),
		});
	});

	test("lose their quotes when they are text, and nothing when they are many", async () => {
		expect((await sandbox.runCode("'quoted'")).text).toBe("quoted");
		expect((await sandbox.runCode("for i in range(1500): display(i)")).results.map(({ text }) => text)).toEqual(
			Array.from({ length: 1500 }, (_, index) => String(index)),
		);
	});

	test("of other types come beside those that the client knows", async () => {
		const { results } = await sandbox.runCode("display({'application/x-own': 'o', 'text/plain': 't'}, raw=True)");
		expect(results).toMatchObject([{ text: "t", isMainResult: false }]);
	});

	test("of tables are data, of lists and dicts JSON, of images pictures", async () => {
		const table = await sandbox.runCode(
			"import pandas as pd\npd.DataFrame({'a': [1, 2], 't': pd.to_datetime(['2024-01-01', '2024-01-02'])})",
		);
		expect(table.results[0]).toMatchObject({
			data: { a: [1, 2], t: ["2024-01-01T00:00:00", "2024-01-02T00:00:00"] },
			html: expect.stringContaining("<table"),
		});
		expect((await sandbox.runCode("{'k': [1, None, 'x'], 2: 3}")).results[0]?.json).toEqual({ k: [1, null, "x"], 2: 3 });
		const images = await sandbox.runCode("from PIL import Image\ni = Image.new('RGB', (4, 4))\ni.save('a.png')\ni.show()\ni");
		expect(images.results.map(({ png }) => png?.startsWith("iVBOR"))).toEqual([true, true, true]);
	});

	test("are not shortened", async () => {
		expect((await sandbox.runCode("list(range(3000))")).text).toContain("2999]");
	});
});

describe("charts", () => {
	const show = async (code: string): Promise<Result> => {
		const { results, error } = await sandbox.runCode(`import matplotlib.pyplot as plt\n${code}\nplt.show()`);
		expect(error).toBeUndefined();
		const [result] = results;
		if (results.length !== 1 || result === undefined) throw new Error(`${results.length} results`);
		expect(result).toMatchObject({ isMainResult: false, png: expect.any(String), text: expect.any(String), extra: {} });
		return result;
	};

	test.each([
		[
			"line",
			"plt.plot([1, 2], [3, 4], label='up')",
			[
				{
					label: "up",
					points: [
						[1, 3],
						[2, 4],
					],
				},
			],
		],
		[
			"scatter",
			"plt.scatter([1, 2], [3, 4], label='dots')",
			[
				{
					label: "dots",
					points: [
						[1, 3],
						[2, 4],
					],
				},
			],
		],
		["bar", "plt.bar(['a'], [5], label='sold')", [{ label: "a", group: "sold", value: 5 }]],
		[
			"pie",
			"plt.pie([1, 3], labels=['a', 'b'])",
			[
				{ label: "a", angle: 90, radius: 1 },
				{ label: "b", angle: 270, radius: 1 },
			],
		],
		[
			"box_and_whisker",
			"plt.boxplot([[1, 2, 3, 4, 5]], tick_labels=['a'])",
			[{ label: "a", min: 1, first_quartile: 2, median: 3, third_quartile: 4, max: 5, outliers: [] }],
		],
		["superchart", "_, a = plt.subplots(1, 2); a[0].plot([1]); a[1].bar(['x'], [1])", [{ type: "line" }, { type: "bar" }]],
		["unknown", "plt.gca().add_artist(plt.Circle((0, 0), 1))", []],
	])("of type %s", async (type, code, elements) => {
		expect((await show(code)).chart).toMatchObject({ type, elements });
	});

	test("come beside the value of the cell", async () => {
		const { results } = await sandbox.runCode("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n'value'");
		expect(results.map(({ isMainResult, text, png }) => [isMainResult, text === "value", png !== undefined])).toEqual([
			[false, false, true],
			[true, true, false],
		]);
	});

	test("with Japanese text are drawn without a warning", async () => {
		const { logs, results } = await sandbox.runCode(
			"import matplotlib.pyplot as plt\nplt.bar(['日本', '中国', '한국'], [1, 2, 3], label='グラフ')\nplt.title('見出し', weight='bold'); plt.legend()\nplt.show()",
		);
		expect(logs.stderr).toEqual([]);
		expect(results[0]).toMatchObject({
			png: expect.any(String),
			chart: { title: "見出し", elements: [{ label: "日本" }, {}, {}] },
		});
	});

	test.each(["symlog", "logit", "asinh"])("tell of the scale %s", async (scale) => {
		expect((await show(`plt.plot([0.1, 0.2], [1, 2]); plt.xscale('${scale}')`)).chart).toMatchObject({ x_scale: scale });
	});

	test("tell of times and categories", async () => {
		const times = await show("import datetime as d\nplt.plot([d.date(2024, 1, 1), d.date(2024, 1, 2)], [1, 2])");
		expect(times.chart).toMatchObject({
			x_scale: "datetime",
			elements: [{ points: [[expect.stringMatching(/^2024-01-01/), 1], expect.anything()] }],
		});
		expect((await show("plt.plot(['a', 'b'], [1, 2])")).chart).toMatchObject({ x_scale: "categorical" });
	});

	test("tell labels, units and scales", async () => {
		const { chart } = await show(
			"plt.plot([1, 10], [1, 100]); plt.title('T'); plt.xlabel('time (s)'); plt.ylabel('rate [Hz]'); plt.xscale('log')",
		);
		expect(chart).toMatchObject({
			title: "T",
			x_label: "time (s)",
			x_unit: "s",
			y_unit: "Hz",
			x_scale: "log",
			y_scale: "linear",
		});
	});
});

describe("contexts", () => {
	test("are made with a language and a directory, listed in order, restarted and removed", async () => {
		const [python, javascript] = await sandbox.listCodeContexts();
		expect([python, javascript]).toMatchObject([
			{ language: "python", cwd: "/home/user" },
			{ language: "javascript", cwd: "/home/user" },
		]);
		const context = await sandbox.createCodeContext({ cwd: "/root" });
		expect(context).toMatchObject({ language: "python", cwd: "/root" });
		expect((await sandbox.listCodeContexts()).at(-1)).toEqual(context);
		expect((await sandbox.runCode("import os; own = os.getcwd(); own", { context })).text).toBe("/root");
		expect((await sandbox.runCode("own")).error?.name).toBe("NameError");

		await sandbox.restartCodeContext(context.id);
		expect((await sandbox.runCode("own", { context })).error?.value).toBe("name 'own' is not defined");
		expect((await sandbox.runCode("import os; os.getcwd()", { context })).text).toBe("/root");

		await sandbox.removeCodeContext(context);
		expect(await failure(sandbox.runCode("1", { context }))).toBeInstanceOf(NotFoundError);
		expect(await failure(sandbox.restartCodeContext(context))).toBeInstanceOf(NotFoundError);
		expect(await failure(sandbox.removeCodeContext(context.id))).toBeInstanceOf(NotFoundError);
	});

	test("of other languages keep their own state; a directory that is not there is refused", async () => {
		const context = await sandbox.createCodeContext({ language: "bash", cwd: "/tmp" });
		await sandbox.runCode("v=7", { context });
		expect((await sandbox.runCode("echo $v $PWD", { context })).logs.stdout).toEqual(["7 /tmp\n"]);
		await sandbox.removeCodeContext(context);
		expect(String(await failure(sandbox.createCodeContext({ cwd: "/no/such" })))).toContain("/no/such");
	});

	test("end what runs in them when they are restarted or removed", async () => {
		const context = await sandbox.createCodeContext();
		const start = async () => {
			const started = Promise.withResolvers<void>();
			const code = "import time; print('on', flush=True); time.sleep(300)";
			const ended = sandbox.runCode(code, { context, onStdout: () => started.resolve(), timeoutMs: 0 });
			await started.promise;
			return { ended };
		};
		const first = await start();
		await sandbox.restartCodeContext(context);
		expect((await first.ended).error?.name).toBe("ContextRestarting");
		const second = await start();
		await sandbox.removeCodeContext(context);
		expect((await second.ended).error?.name).toBe("UnexpectedEndOfExecution");
	});

	test("run side by side, each one cell at a time", async () => {
		const other = await sandbox.createCodeContext();
		const code = "import os, time\nwhile not os.path.exists('/tmp/met'): time.sleep(0.01)\n'met'";
		const waiting = sandbox.runCode(code);
		await sandbox.runCode("open('/tmp/met', 'w').close()", { context: other });
		expect((await waiting).text).toBe("met");
		await sandbox.removeCodeContext(other);
	});
});

describe("what dies comes back", () => {
	test("a kernel, with an error for who was running in it", async () => {
		const { error } = await sandbox.runCode("import os; os.kill(os.getpid(), 9)");
		expect(error?.name).toBe("ContextRestarting");
		expect((await sandbox.runCode("1 + 1")).text).toBe("2");
	});

	test("the server itself", async () => {
		await sandbox.commands.run("kill -9 $(ss -Htlnp sport = :49999 | grep -o 'pid=[0-9]*' | cut -d= -f2)", { user: "root" });
		const health = "curl -s -o /dev/null -w '%{http_code}' http://0.0.0.0:49999/health || true";
		await until("its health", async () => (await sandbox.commands.run(health)).stdout === "200", 30_000);
		expect((await sandbox.runCode("1 + 1")).text).toBe("2");
	});
});

describe("a sandbox of its own", () => {
	test("is closed to who has no token, and whose traffic is private to who has no traffic token", async () => {
		const closed = await newCodeSandbox(undefined, { network: { allowPublicTraffic: false } });
		expect((await closed.runCode("'both tokens'")).text).toBe("both tokens");
		expect((await closed.listCodeContexts()).length).toBe(2);
		const call = (headers: Record<string, string>) =>
			fetch(`${sdk().sandboxUrl}/execute`, {
				method: "POST",
				body: JSON.stringify({ code: "1" }),
				headers: { "content-type": "application/json", "E2b-Sandbox-Port": "49999", ...headers },
			});
		expect((await call({ "E2b-Sandbox-Id": closed.sandboxId })).status).toBe(403);
		const to = { "E2b-Sandbox-Id": sandbox.sandboxId };
		const token = String((await rest("GET", `/sandboxes/${sandbox.sandboxId}`)).body.envdAccessToken);
		const statuses = [];
		for (const headers of [{}, { "X-Access-Token": token }, { "X-Access-Token": `${token}x` }, {}]) {
			const answer = await call({ ...to, ...headers });
			await answer.text();
			statuses.push(answer.status);
		}
		expect(statuses).toEqual([401, 200, 401, 401]);
	});

	test("is connected to again with its state, and a run ends with its sandbox", async () => {
		const first = await newCodeSandbox();
		await first.runCode("x = 41");
		const again = await Sandbox.connect(first.sandboxId, sdk());
		expect((await again.runCode("x + 1")).text).toBe("42");
		const started = Promise.withResolvers<void>();
		const running = failure(
			again.runCode("import time; print('on', flush=True); time.sleep(300)", { onStdout: () => started.resolve(), timeoutMs: 0 }),
		);
		await started.promise;
		await first.kill();
		const error = await running;
		expect(error).toBeInstanceOf(TimeoutError);
		expect(String(error)).toContain("sandbox was killed");
	});
});
