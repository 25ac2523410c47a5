import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestSandbox, type TestSandbox } from "./testing/sandbox.ts";

let sandbox: TestSandbox;

beforeAll(async () => {
	sandbox = await startTestSandbox();
}, 300_000);

afterAll(() => sandbox?.close());

const run = (language: string, code: string) => sandbox.client().runCode(code, { language });

describe("javascript", () => {
	it("writes one chunk per call of the console", async () => {
		const { logs } = await run("js", "console.log('Hello World!'); console.error('oh'); process.stdout.write('no newline')");
		expect(logs).toEqual({ stdout: ["Hello World!\n", "no newline"], stderr: ["oh\n"] });
	});

	it.each([
		["a number", "const add = (x, y) => x + y;\nadd(1, 2)", "3"],
		["a string without quotes", "'text'", "text"],
		["an object", "{ a: 1, b: [2] }", "{ a: 1, b: [ 2 ] }"],
		["a big integer", "2n ** 64n", "18446744073709551616n"],
		["minus zero", "-0", "-0"],
		["null", "null", "null"],
		["an awaited value", "async function main() { return 'Hello' }\n\nawait main()", "Hello"],
		["a whole array", "Array.from({ length: 150 }, (_, i) => i).length", "150"],
		["the last of several statements", "let q = 1; for (const i of [1, 2]) q += i; q", "4"],
	])("returns %s", async (_name, code, text) => {
		const { results, error } = await run("javascript", code);
		expect(error).toBeUndefined();
		expect(results.map((result) => [result.isMainResult, result.text])).toEqual([[true, text]]);
	});

	it("returns nothing for nothing", async () => {
		expect((await run("js", "undefined")).results).toEqual([]);
		expect((await run("js", "const nothing = 1")).results).toEqual([]);
	});

	it.each([
		["$$.html('<b>')", { html: "<b>" }],
		["$$.text('plain'); 'not this'", { text: "plain" }],
		["$$.svg('<svg/>')", { svg: "<svg/>" }],
		["$$.png(Buffer.from('png'))", { png: "cG5n" }],
		["$$.jpeg('anBlZw==')", { jpeg: "anBlZw==" }],
		["$$.json({ a: [1] })", { json: { a: [1] } }],
		["$$.mime({ 'text/html': '<i>', 'application/x-own': 1 })", { html: "<i>", extra: { "application/x-own": 1 } }],
		["$$html$$ = '<u>'", { html: "<u>" }],
		["$$.html(new Promise((done) => setTimeout(done, 20, '<late>')))", { html: "<late>" }],
		["$$.async(); setTimeout(() => $$.done({ a: 1 }), 20); 'not this'", { text: "{ a: 1 }" }],
		["$$.async(); setTimeout(() => $$.html('<later>') ?? $$.done(), 20)", { html: "<later>" }],
		["$$.sendResult([1])", { text: "[ 1 ]" }],
	])("shows a result as ijavascript does: %s", async (code, result) => {
		const events = await sandbox.execute({ code, language: "js" });
		expect(events.slice(1)).toEqual([{ type: "result", is_main_result: true, ...result }, { type: "end_of_execution" }]);
	});

	it.each([
		["$$.async(); setTimeout(() => $$.done('late'), 1000); console.log('on')"],
		["$$.async(); setTimeout(() => $$.html('late'), 1000); console.log('on')"],
		["$$.async(); setTimeout(() => { $$html$$ = 'late' }, 1000); console.log('on')"],
		["$$.async(); setTimeout(() => $$.display('id').html('late'), 1000); console.log('on')"],
		["console.log('on'); await new Promise((done) => setTimeout(done, 1000)); $$.done('late')"],
	])("leaves to a cell what is its own, when an earlier one that was interrupted shows something: %s", async (code) => {
		const leave = new AbortController();
		const response = await sandbox.request("POST", "/execute", { body: { code, language: "js" }, signal: leave.signal });
		for await (const chunk of response.body ?? []) if (Buffer.from(chunk).includes("stdout")) break;
		leave.abort();
		const next = "$$.async(); setTimeout(() => $$.async(false), 1500); 42";
		const events = await sandbox.execute({ code: next, language: "js" });
		expect(events.slice(1)).toEqual([{ type: "result", is_main_result: true, text: "42" }, { type: "end_of_execution" }]);
	});

	it("shows values by their own methods", async () => {
		const code = `({
  _toHtml() { return "<b>"; },
  _toSvg: () => "<svg/>",
  _toPng: () => "cG5n",
  _toJpeg: () => Buffer.from("jpeg"),
  _toMime: () => ({ "text/markdown": "**m**" }),
  toString: undefined,
})`;
		expect((await run("js", code)).results).toMatchObject([
			{
				isMainResult: true,
				html: "<b>",
				svg: "<svg/>",
				png: "cG5n",
				jpeg: "anBlZw==",
				markdown: "**m**",
				text: expect.stringContaining("_toHtml"),
			},
		]);
		const broken = "var o = { _toHtml() { throw 1 }, _toMime() { return { x: 2n, o } }, inspect: 1 }; o";
		expect((await run("js", broken)).results).toMatchObject([{ text: expect.stringContaining("inspect: 1"), html: undefined }]);
	});

	it("shows things beside the value of a cell", async () => {
		const code = "$$.display().html('<1>'); $$.display('id').text('2'); $$.html('<3>', true); 4";
		const { results } = await run("js", code);
		expect(results.map((each) => [each.isMainResult, each.html ?? each.text])).toEqual([
			[false, "<1>"],
			[false, "2"],
			[true, "<3>"],
			[true, "4"],
		]);
		expect((await run("js", "$$.json(1n)")).error?.name).toBe("TypeError");
		expect((await run("js", "$$.html(Promise.reject(new RangeError('late')))")).error?.name).toBe("RangeError");
		expect((await run("js", "setTimeout(() => $$.html('<too late>'), 20); 1")).results).toHaveLength(1);
	});

	it.each(["var $$ = 5", "$$ = 5", "const $$ = 5"])("leaves $$ to cells that want the name: %s", async (code) => {
		const context = await sandbox.client().createCodeContext({ language: "js" });
		await sandbox.client().runCode(code, { context });
		expect((await sandbox.client().runCode("$$", { context })).text).toBe("5");
		await sandbox.client().removeCodeContext(context);
	});

	it("keeps and redeclares variables from cell to cell", async () => {
		await run("js", "const z = 1; let y = 1; class A {}; function f() { return 'f' }");
		expect((await run("js", "const z = z0 = 2; [z, y, typeof A, f()].join()")).text).toBe("2,1,function,f");
	});

	it("imports modules in every way", async () => {
		await writeFile(join(sandbox.home, "own.mjs"), "export default 'd'; export const a = 'a', b = 'b';");
		const code = `import own, { a, b as c } from "./own.mjs";
import * as path from 'node:path'
import "node:os";
import {
  readFileSync,
  existsSync as exists, // one of many
} from "fs";
const later = await import("./own.mjs");
[own, a, c, later.b, typeof path.join, typeof readFileSync, typeof exists, typeof require("node:os").cpus, import.meta.dirname].join()`;
		expect((await run("js", code)).text).toBe(`d,a,b,b,function,function,function,function,${sandbox.home}`);
		expect((await run("js", "own + a")).text).toBe("da");
	});

	it("finds packages of the working directory and global ones", async () => {
		const globals = join(sandbox.home, "global/node_modules");
		for (const [directory, text] of [
			[join(sandbox.home, "node_modules/near"), "near"],
			[join(globals, "far"), "far"],
		] as const) {
			await mkdir(directory, { recursive: true });
			await writeFile(join(directory, "package.json"), JSON.stringify({ name: text, exports: "./index.mjs" }));
			await writeFile(join(directory, "index.mjs"), `export const where = "${text}";`);
		}
		await run("js", `process.env.NODE_PATH = ${JSON.stringify(globals)}`);
		expect((await run("js", "import { where } from 'near'; where")).text).toBe("near");
		expect((await run("js", "import { where as far } from 'far'; far")).text).toBe("far");
	});

	it.each([
		["import process from 'node:process'; import { Buffer } from 'buffer'", "typeof process.cwd + typeof Buffer.from"],
		["const process = 3", "await import('fs'); process"],
	])("lives on when a cell gives its own meaning to names that the kernel uses: %s", async (code, expression) => {
		const context = await sandbox.client().createCodeContext({ language: "js" });
		expect((await sandbox.client().runCode(code, { context })).error).toBeUndefined();
		expect((await sandbox.client().runCode(expression, { context })).text).toMatch(/^(functionfunction|3)$/);
		expect((await sandbox.client().runCode("console.log('on')", { context, envs: { A: "1" } })).logs.stdout).toEqual(["on\n"]);
		await sandbox.client().removeCodeContext(context);
	});

	it("says what is wrong with an import", async () => {
		expect((await run("js", "import x from 'not-there'")).error?.value).toContain("Cannot find package 'not-there'");
		expect((await run("js", "import { nope } from 'fs'")).error).toMatchObject({
			name: "SyntaxError",
			value: expect.stringContaining("'nope'"),
		});
	});

	it("reports errors with the frames of the cell", async () => {
		const { error } = await run("js", "function f() { null.x }\nf()");
		expect(error).toMatchObject({ name: "TypeError", value: "Cannot read properties of null (reading 'x')" });
		expect(error?.traceback).toMatch(/at f \(cell-\d+:1:21\)\n\s+at cell-\d+:2:1$/);
		expect((await run("js", "let broken = ;")).error?.name).toBe("SyntaxError");
		expect((await run("js", "throw 'thrown'")).error).toMatchObject({ name: "Error", value: "'thrown'" });
		expect((await run("js", "await Promise.reject(new RangeError('late'))")).error?.name).toBe("RangeError");
	});

	it("survives errors outside of cells", async () => {
		const { logs, text } = await run(
			"js",
			"setTimeout(() => { throw new Error('later') }); Promise.reject(1); await new Promise((r) => setTimeout(r, 50)); 'on'",
		);
		expect(text).toBe("on");
		expect(logs.stderr.join("")).toContain("Error: later");
	});

	it.each([
		["globalThis.crypto.randomUUID()", "crypto.randomUUID"],
		["require", "require('crypto').randomUUID"],
		["import", "(await import('node:crypto')).randomUUID"],
	])("draws its random bytes from the system, reached by %s", async (_name, expression) => {
		const context = await sandbox.client().createCodeContext({ language: "js" });
		const { text } = await sandbox
			.client()
			.runCode(`[${expression}(), String(${expression}).includes("native")].join()`, { context });
		expect(text).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12},false$/);
		const source = await sandbox.client().runCode(`${expression}.toString()`, { context });
		expect(source.text).toContain("randomBytes(16)");
		await sandbox.client().removeCodeContext(context);
	});

	it("draws evenly", async () => {
		const mean = Number((await run("js", "let sum = 0; for (let i = 0; i < 1e6; i++) sum += Math.random(); sum / 1e6")).text);
		expect(Math.abs(mean - 0.5)).toBeLessThan(0.005);
	});
});

describe("typescript", () => {
	it("runs with type annotations, in a context of its own", async () => {
		await run("ts", "interface P { x: number }\nconst p: P = { x: 1 };");
		expect((await run("typescript", "const minus = (q: P, n: number): number => q.x - n;\nminus(p, 2)")).text).toBe("-1");
		expect((await run("ts", "import { readFileSync } from 'fs';\ntypeof (readFileSync as unknown)")).text).toBe("function");
		expect((await run("js", "typeof p")).text).toBe("undefined");
	});

	it.each([
		"const typed: number = 8; typed",
		"import { type Stats, existsSync } from 'fs';\nconst n = 8 as number; existsSync && n",
	])("is understood by JavaScript's kernel as well: %j", async (code) => {
		expect((await run("js", code)).text).toBe("8");
		expect((await run("js", "7 < 8 > (7)")).text).toBe("false");
	});

	it.each(["js", "ts"])(
		"that is nested too deep is an error of the cell in %s, and the kernel is well afterwards",
		async (language) => {
			await run(language, "var kept = 5");
			const deep = `const deep: number = ${"(".repeat(50_000)}1${")".repeat(50_000)}`;
			expect((await run(language, deep)).error?.name).toMatch(/^(Range|Syntax)Error$/);
			expect((await run(language, "const after: number = kept + 1;\nenum E { A = 3 }\nafter + E.A")).text).toBe("9");
			expect((await run(language, "const broken: = 1")).error?.name).toBe("SyntaxError");
		},
	);

	it("knows enums", async () => {
		expect((await run("ts", "enum Color { Red, Green = 5 }\nColor.Green")).text).toBe("5");
	});

	it.each([
		"import { PathLike, existsSync } from 'fs';\nconst a: PathLike = '/';\nexistsSync(a)",
		"import process, { Stats } from 'process';\nlet stats: Stats | undefined;\nprocess.cwd() !== ''",
		"import { BigIntStats } from 'fs';\ntrue",
	])("may import names that are used as types alone, here or in later cells: %j", async (code) => {
		expect(await run("ts", code)).toMatchObject({ error: undefined, text: "true" });
	});

	it("imports for later cells, and misses what is used and not there", async () => {
		await run("ts", "import { statSync, Dirent } from 'fs'");
		expect((await run("ts", "function f(d: Dirent) { return d }\ntypeof statSync")).text).toBe("function");
		expect((await run("ts", "import { nope } from 'fs'; nope()")).error?.value).toContain("'nope'");
	});

	it.each([
		["const", "export const z: number = 1; z", "1"],
		[
			"several",
			"const a = 1, b = 2;\nexport {\n  a,\n  b as c\n};\nexport type T = 1;\nexport function f() { return a + b }\nf()",
			"3",
		],
		["default", "export default { a: 1 }", "{ a: 1 }"],
		["default class", "export default class Q { q = 5 }\nnew Q().q", "5"],
		["from", "export { join as j } from 'path';\nj('a', 'b')", "a/b"],
		["text", "const t = `export const x = 1`; t", "export const x = 1"],
	])("declares what a cell exports: %s", async (_name, code, text) => {
		for (const language of ["ts", "js"]) expect(await run(language, code)).toMatchObject({ error: undefined, text });
	});

	it.each([
		["Namespaces", "namespace N { export const a = 1 }\nN.a"],
		["Decorators", "function dec(t: any, c: any) {}\n@dec class A {}"],
	])("%s are refused by name", async (name, code) => {
		for (const language of ["ts", "js"]) {
			const { error } = await run(language, code);
			expect(error).toMatchObject({ name: "SyntaxError", value: expect.stringMatching(new RegExp(`^${name} .*not supported`)) });
		}
	});

	it("removes namespaces of types", async () => {
		expect(
			(await run("ts", "namespace N { export interface A { class: string } }\nconst a: N.A = { class: 'c' }; a.class")).text,
		).toBe("c");
		expect((await run("ts", "declare module 'x' { export const a: number }\n7")).text).toBe("7");
	});

	it("keeps the lines of a cell in its errors", async () => {
		const exported = await run("ts", "export {\n};\nexport default {\n  a: null.b\n}");
		expect(exported.error?.traceback).toMatch(/cell-\d+:4:\d+$/);
		const { error } = await run("ts", "interface Gone {\n  a: number\n}\n(undefined as unknown as Gone).a");
		expect(error?.traceback).toMatch(/at cell-\d+:4:\d+$/);
	});
});

describe("bash", () => {
	it("keeps directory, variables and functions", async () => {
		await run("bash", "cd /\nx='it is' export Y=2\nx=5; f() { echo \"f $1\"; }");
		const { logs } = await run("bash", "pwd; echo $x; f arg; echo err >&2");
		expect(logs.stdout.join("")).toBe("/\n5\nf arg\n");
		expect(logs.stderr).toEqual(["err\n"]);
	});

	it("takes any text as a cell", async () => {
		const { logs } = await run("bash", "echo 'quo\"te'; cat <<'EOT'\nhere $x\nEOT\nprintf 'no newline'; # comment");
		expect(logs.stdout.join("")).toBe('quo"te\nhere $x\nno newline');
		expect((await run("bash", "")).error).toBeUndefined();
		expect((await run("bash", "exec 1>/dev/null; echo hidden")).logs.stdout).toEqual([]);
		await run("bash", "exec 1>&198");
		expect((await run("bash", "echo back")).logs.stdout).toEqual(["back\n"]);
	});

	it("keeps no history: neither of other shells, nor of cells, nor of the variables of a run", async () => {
		await writeFile(join(sandbox.home, ".bash_history"), "of another shell\n");
		const context = await sandbox.client().createCodeContext({ language: "bash" });
		const history = async (envs: Record<string, string>) =>
			(await sandbox.client().runCode("history", { context, envs })).logs.stdout.join("");
		expect(await history({ SECRET: "of the run" })).toBe("");
		expect(await history({})).toBe("");
		await sandbox.client().runCode("set -o history; echo 'turned on'", { context });
		await history({ SECRET: "of the run" });
		expect(await history({})).not.toMatch(/SECRET|of the run/);
		await sandbox.client().removeCodeContext(context);
	});

	it("tells the number of what a cell leaves in the background, and no more", async () => {
		const { logs, error } = await run("bash", "sleep 0.2 & wait; echo done");
		expect(error).toBeUndefined();
		expect(logs.stdout).toEqual(["done\n"]);
		expect(logs.stderr.join("")).toMatch(/^\[1\] \d+\n$/);
	});

	it("streams while a cell runs", async () => {
		const first = Promise.withResolvers<string>();
		const running = sandbox.client().runCode(`echo one; while [ ! -e ${sandbox.home}/go ]; do sleep 0.05; done; echo two`, {
			language: "bash",
			onStdout: ({ line }) => first.resolve(line),
		});
		expect(await first.promise).toBe("one\n");
		await writeFile(join(sandbox.home, "go"), "");
		expect((await running).logs.stdout).toEqual(["one\n", "two\n"]);
	});

	it("reports the status of a failed cell and of a shell that ended", async () => {
		expect((await run("bash", "false")).error).toMatchObject({ name: "BashError", value: "1" });
		expect((await run("bash", "if true; then")).error?.value).toBe("2");
		expect((await run("bash", "kept=1; exit 3")).error?.value).toBe("3");
		expect((await run("bash", "set -e; false; echo never")).error?.value).toBe("1");
		expect((await run("bash", "exit 0")).error).toBeUndefined();
		// biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own.
		expect((await run("bash", "echo ${kept:-gone}")).logs.stdout).toEqual(["gone\n"]);
	});

	it("drops a cell whose client goes away and keeps its state", async () => {
		await run("bash", "keep=7");
		for (const code of ["echo on; sleep 300; keep=8", "echo on; while :; do :; done"]) {
			const leave = new AbortController();
			const response = await sandbox.request("POST", "/execute", { body: { code, language: "bash" }, signal: leave.signal });
			for await (const chunk of response.body ?? []) if (Buffer.from(chunk).includes("stdout")) break;
			leave.abort();
			expect((await run("bash", "echo $keep")).logs.stdout).toEqual(["7\n"]);
		}
	});
});
