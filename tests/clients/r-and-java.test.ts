/** R and Java through the JavaScript code-interpreter client. Their kernels start with the first cell. */
import { type Execution, Sandbox } from "@e2b/code-interpreter";
import { SandboxError, TimeoutError } from "e2b";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deleteAtEnd, newCodeSandbox, sdk } from "../support/sandboxes.ts";

let sandbox: Sandbox;

beforeAll(async () => {
	sandbox = await Sandbox.create({ ...sdk(), envs: { GLOBAL: "global" } });
});

afterAll(() => sandbox?.kill());

const LANGUAGES = ["r", "java"] as const;
type Language = (typeof LANGUAGES)[number];

/** The same cell in both languages. */
type Cells = Readonly<Record<Language, string>>;

const COUNT: Cells = { r: "x <- 41; x + 1", java: "int x = 41; x + 1" };
const READ_COUNT: Cells = { r: "cat(x)", java: "System.out.print(x);" };
const WHERE: Cells = { r: "cat(getwd())", java: 'System.out.print(System.getProperty("user.dir"));' };

/** R's values are shown by R itself, so they are no main result. */
function shown({ results }: Execution): string | undefined {
	return results[0]?.text;
}

async function printed(cells: Cells, language: Language, where: Sandbox, envs: Record<string, string> = {}): Promise<string> {
	const { logs, error } = await where.runCode(cells[language], { language, envs });
	expect(error).toBeUndefined();
	return logs.stdout.join("");
}

describe.each(LANGUAGES)("%s", (language) => {
	test("shows values, keeps state and counts executions", async () => {
		const first = await sandbox.runCode(COUNT[language], { language });
		expect(shown(first)).toBe({ r: "[1] 42", java: "42" }[language]);
		expect(await printed(READ_COUNT, language, sandbox)).toBe("41");
		expect((await sandbox.runCode("1 + 1", { language })).executionCount).toBe((first.executionCount ?? 0) + 2);
	});

	test("streams what a cell writes, while it runs", async () => {
		const cells: Cells = {
			r: "cat('on\\n'); message('err'); while (!file.exists('/tmp/seen-r')) Sys.sleep(0.02); cat('off\\n')",
			java: 'System.out.println("on"); System.err.println("err"); while (!new File("/tmp/seen-java").exists()) Thread.sleep(20); System.out.println("off");',
		};
		const { logs } = await sandbox.runCode(cells[language], {
			language,
			onStdout: async ({ line }) => void (line === "on\n" && (await sandbox.files.write(`/tmp/seen-${language}`, ""))),
		});
		expect(logs.stdout).toEqual(["on\n", "off\n"]);
		expect(logs.stderr.join("").trim()).toBe("err");
	});

	test("reports errors by name, value and place", async () => {
		const cells: Cells = { r: "f <- function(n) stop('not ', n)\nf(3)", java: "int f(int n) {\n return n / 0;\n}\nf(3)" };
		const errors = {
			r: { name: "ERROR", value: expect.stringContaining("not 3"), traceback: expect.stringMatching(/not 3[\s\S]*f\(3\)/) },
			java: {
				name: "java.lang.ArithmeticException",
				value: "/ by zero",
				traceback: expect.stringMatching(/zero\n\tat f\(#\d+:2\)/),
			},
		};
		expect((await sandbox.runCode(cells[language], { language })).error).toMatchObject(errors[language]);
	});

	test("refuses what is no code, and goes on", async () => {
		const { error } = await sandbox.runCode("this is not ( code", { language });
		expect(error?.name).toBe({ r: "ERROR", java: "CompilationException" }[language]);
		expect(shown(await sandbox.runCode("2 + 3", { language }))).toContain("5");
	});

	test("starts in the home of user with the sandbox's variables, and takes those of one run back", async () => {
		const variables: Cells = {
			r: "cat(paste0(Sys.getenv('GLOBAL', '-'), Sys.getenv('MINE', '-')))",
			java: 'System.out.print(System.getenv("GLOBAL") + Objects.toString(System.getenv("MINE"), "-"));',
		};
		expect(await printed(WHERE, language, sandbox)).toBe("/home/user");
		const seen = [];
		for (const envs of [{}, { GLOBAL: "own", MINE: 'a "b"\nü%+ ' }, {}])
			seen.push(await printed(variables, language, sandbox, envs));
		expect(seen).toEqual(["global-", 'owna "b"\nü%+ ', "global-"]);
	});

	test("is interrupted when its client goes away, and keeps its state", async () => {
		await sandbox.runCode(COUNT[language], { language });
		for (const endless of { r: ["Sys.sleep(300)", "repeat {}"], java: ["Thread.sleep(300_000);", "for (;;) {}"] }[language]) {
			await expect(sandbox.runCode(endless, { language, timeoutMs: 1_000 })).rejects.toBeInstanceOf(TimeoutError);
			expect(await printed(READ_COUNT, language, sandbox)).toBe("41");
		}
	});

	test("has contexts with a directory and state of their own, which a restart empties", async () => {
		await sandbox.runCode(COUNT[language], { language });
		const context = await sandbox.createCodeContext({ language, cwd: "/tmp" });
		expect(context).toMatchObject({ language, cwd: "/tmp" });
		expect((await sandbox.listCodeContexts()).at(-1)).toEqual(context);
		const run = async (cells: Cells) => await sandbox.runCode(cells[language], { context });
		expect((await run(WHERE)).logs.stdout).toEqual(["/tmp"]);
		expect((await run(READ_COUNT)).error).toBeDefined();
		await run(COUNT);
		expect((await run(READ_COUNT)).logs.stdout).toEqual(["41"]);
		await sandbox.restartCodeContext(context);
		expect((await run(READ_COUNT)).error).toBeDefined();
		expect((await run(WHERE)).logs.stdout).toEqual(["/tmp"]);
		await sandbox.removeCodeContext(context);
	});

	test("comes back when its kernel dies", async () => {
		const end: Cells = { r: "tools::pskill(Sys.getpid(), 9); Sys.sleep(60)", java: "System.exit(3);" };
		expect((await sandbox.runCode(end[language], { language })).error?.name).toBe("ContextRestarting");
		expect(shown(await sandbox.runCode("2 + 3", { language }))).toContain("5");
	});
});

describe("results", () => {
	test("of R are tables and plots in several forms", async () => {
		const run = async (code: string) => (await sandbox.runCode(code, { language: "r" })).results;
		const [table] = await run("data.frame(a = 1:2)");
		expect(table).toMatchObject({
			isMainResult: false,
			text: "  a\n1 1\n2 2",
			html: expect.stringContaining("<table"),
			markdown: expect.stringContaining("| a"),
			latex: expect.stringContaining("tabular"),
		});
		expect(await run("plot(1:3); hist(c(1, 2)); 'text'")).toMatchObject([
			{ png: expect.stringMatching(/^iVBOR/) },
			{ text: '[1] "text"' },
			{ png: expect.stringMatching(/^iVBOR/) },
		]);
		const [svg] = await run("options(jupyter.plot_mimetypes = 'image/svg+xml'); plot(1)");
		expect(svg?.svg).toContain("<svg");
	});

	test("of Java are its values, images among them, and what a cell displays", async () => {
		const run = async (code: string) => (await sandbox.runCode(code, { language: "java" })).results;
		expect(await run('display("shown"); record P(int a) {}\nnew P(3)')).toMatchObject([
			{ isMainResult: false, text: "shown" },
			{ isMainResult: true, text: "P[a=3]" },
		]);
		expect((await run("new int[][] {{1, 2}, {3}}"))[0]?.text).toBe("[[1, 2], [3]]");
		const [image] = await run("new java.awt.image.BufferedImage(2, 2, java.awt.image.BufferedImage.TYPE_INT_RGB)");
		expect(image?.png).toMatch(/^iVBOR/);
		expect(await run("int unused = 3;")).toEqual([]);
	});
});

test("R goes on when a cell calls quit(), which only asks its client to end it", async () => {
	await sandbox.runCode("before <- 7; quit()", { language: "r" });
	expect(shown(await sandbox.runCode("before", { language: "r" }))).toBe("[1] 7");
});

test("Java takes up to half of the sandbox's memory, and lives on when a cell wants more", async () => {
	const limit = await sandbox.runCode("Runtime.getRuntime().maxMemory() >> 20", { language: "java" });
	expect(Number(limit.text)).toBeGreaterThan(900);
	expect(Number(limit.text)).toBeLessThanOrEqual(1024);
	const { error } = await sandbox.runCode("byte[] all = new byte[2_000_000_000];", { language: "java" });
	expect(error?.name).toBe("java.lang.OutOfMemoryError");
	expect((await sandbox.runCode("1 + 1", { language: "java" })).text).toBe("2");
});

test("clones go on with the state of R and Java, and draw random numbers of their own", async () => {
	const source = await newCodeSandbox();
	const random: Cells = { r: "cat(runif(1))", java: "System.out.print(Math.random());" };
	for (const language of LANGUAGES) {
		await source.runCode(COUNT[language], { language });
		await printed(random, language, source);
	}
	const snapshotId = deleteAtEnd((await source.createSnapshot()).snapshotId);
	const clones = await Promise.all([newCodeSandbox(snapshotId), newCodeSandbox(snapshotId)]);
	for (const language of LANGUAGES) {
		const drawn = new Set<string>();
		for (const each of [source, ...clones]) {
			expect(await printed(READ_COUNT, language, each)).toBe("41");
			drawn.add(await printed(random, language, each));
		}
		expect(drawn.size).toBe(3);
	}
});

test.each([
	["r", "/usr/share/jupyter/kernels/ir"],
	["java", "/usr/lib/offshoot/java-kernel.jar"],
])("a sandbox without the kernel of %s says so", async (language, path) => {
	const without = await newCodeSandbox();
	await without.commands.run(`rm -r ${path}`, { user: "root" });
	const refused = without.runCode("1", { language });
	await expect(refused).rejects.toBeInstanceOf(SandboxError);
	await expect(refused).rejects.toThrow(new RegExp(`500 Internal Server Error: .*"${language}" is not installed`));
	await expect(without.createCodeContext({ language })).rejects.toThrow(`"${language}" is not installed`);
});
