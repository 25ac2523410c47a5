import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { REPOSITORY } from "../repository.ts";
import { formatDuration, Progress } from "../terminal/progress.ts";
import { type OutputStream, showProgress } from "../terminal/show.ts";
import { formatBytes, formatTable } from "../terminal/table.ts";
import { wrap } from "../terminal/wrap.ts";
import { clientEnvironment, exportLines } from "./env.ts";
import { clientUrl } from "./server-process.ts";
import { PROJECTS } from "./test.ts";
import { add, closingLine, one, tallyVitest } from "./test-report.ts";

const shell = promisify(execFile);

describe("env", () => {
	test.each(["e2b_0123", "", "a b", "it's", '$(touch /x)`"\\', "new\nline", "*"])("a shell reads back %j", async (key) => {
		const lines = exportLines(clientEnvironment("http://127.0.0.1:4983", key));
		const { stdout } = await shell("sh", ["-c", `${lines.join("\n")}\nprintf %s "$E2B_API_URL|$E2B_SANDBOX_URL|$E2B_API_KEY"`]);
		expect(stdout).toBe(`http://127.0.0.1:4983|http://127.0.0.1:4983|${key}`);
	});

	test.each([
		["127.0.0.1", "http://127.0.0.1:80"],
		["0.0.0.0", "http://127.0.0.1:80"],
		["::", "http://[::1]:80"],
		["fd00::1", "http://[fd00::1]:80"],
		["192.0.2.1", "http://192.0.2.1:80"],
	])("clients on this machine reach a server bound to %s at %s", (bind, url) => {
		expect(clientUrl({ bind, port: 80 })).toBe(url);
	});
});

describe("test report", () => {
	const report = (passed: number, failed: number, files: { status: string; assertionResults: { status: string }[] }[] = []) =>
		JSON.stringify({ numPassedTests: passed, numFailedTests: failed, numPendingTests: 0, testResults: files });

	test("passes and failures are vitest's own", () => {
		expect(tallyVitest(report(5, 0), 0)).toEqual({ passed: 5, failed: 0 });
		expect(tallyVitest(report(5, 2, [{ status: "failed", assertionResults: [{ status: "failed" }] }]), 1)).toEqual({
			passed: 5,
			failed: 2,
		});
	});

	test("a file that broke before its first test is a failure", () => {
		expect(tallyVitest(report(5, 0, [{ status: "failed", assertionResults: [] }]), 1)).toEqual({ passed: 5, failed: 1 });
	});

	test.each([
		["an exit code alone", report(5, 0), 1, 1],
		["no report", undefined, 0, 1],
		["a report cut off", report(5, 0).slice(0, 20), 0, 1],
	])("%s is a failure", (_what, json, exitCode, failed) => {
		expect(tallyVitest(json, exitCode).failed).toBe(failed);
	});

	test("every project of the configuration is run", async () => {
		const config = await readFile(join(REPOSITORY, "vitest.config.ts"), "utf8");
		const names = [...config.matchAll(/name: "(\w+)"/g)].map(([, name]) => name);
		expect(PROJECTS.toSorted()).toEqual(names.toSorted());
	});

	test("the closing line sums everything", () => {
		expect(closingLine([one(true), one(false), { passed: 3, failed: 0 }].reduce(add))).toBe("4 passed, 1 failed\n");
	});
});

describe("progress", () => {
	function stream(properties: Partial<OutputStream> = {}): { output: OutputStream; text: () => string } {
		const chunks: string[] = [];
		const output = { ...properties, write: (chunk: string) => chunks.push(chunk) > 0 };
		return { output: Object.assign(Object.create(process.stderr), { isTTY: false, ...output }), text: () => chunks.join("") };
	}

	test("in a log each step has two plain lines, whatever its details", async () => {
		const { output, text } = stream();
		const progress = new Progress(showProgress(output));
		await progress.step("brewing", async (detail) => {
			for (let i = 0; i < 100; i++) detail(`drop ${i}`);
		});
		expect(text()).toMatch(/^… brewing\n✓ brewing \(\d+ ms\)\n$/);
		expect(progress.finished.map(({ title }) => title)).toEqual(["brewing"]);
	});

	test("a step that throws is shown as failed and does not count", async () => {
		const { output, text } = stream();
		const progress = new Progress(showProgress(output));
		await expect(progress.step("brewing", () => Promise.reject(new Error("spilt")))).rejects.toThrow("spilt");
		expect(text()).toContain("✗ brewing");
		expect(progress.finished).toEqual([]);
	});

	test("on a terminal the moving line is cut to its width and gone at the end", async () => {
		const { output, text } = stream({ isTTY: true, columns: 30 });
		const progress = new Progress(showProgress(output));
		await progress.step("x".repeat(100), async () => {});
		const [moving = ""] = text()
			.split("\r")
			.filter((line) => line.includes("x"));
		// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals are steered by them
		expect(moving.replaceAll(/\x1b\[[0-9;]*[mK]/g, "").length).toBeLessThan(30);
		expect(text()).toContain("\r\x1b[2K");
	});

	test("a table becomes one line per cell where its rows are wider than the terminal", () => {
		const rows = [["a".repeat(10), "b".repeat(10)]];
		expect(formatTable(stream({ columns: 22 }).output, ["ONE", "TWO"], rows)).toBe(
			`ONE         TWO\n${"a".repeat(10)}  ${"b".repeat(10)}\n`,
		);
		expect(formatTable(stream({ columns: 21 }).output, ["ONE", "TWO"], rows)).toBe(
			`ONE  ${"a".repeat(10)}\nTWO  ${"b".repeat(10)}\n`,
		);
	});

	test("a long text is broken between words, and never where nothing shows it", () => {
		expect(wrap(stream({ columns: 10 }).output, "one two three", 4)).toBe("one\n    two\n    three");
		expect(wrap(stream().output, "one two three", 4)).toBe("one two three");
	});

	test.each([
		[0, "0 B"],
		[999, "999 B"],
		[9_940_000, "9.9 MB"],
		[9_990_000, "10 MB"],
		[999_600_000, "1.0 GB"],
	])("%d bytes read %s", (bytes, words) => {
		expect(formatBytes(bytes)).toBe(words);
	});

	test.each([
		[999, "999 ms"],
		[12_340, "12.3 s"],
		[125_000, "2 min 5 s"],
	])("%d ms read %s", (ms, words) => {
		expect(formatDuration(ms)).toBe(words);
	});
});

describe("main", () => {
	const main = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
		shell(process.execPath, ["--disable-warning=ExperimentalWarning", join(REPOSITORY, "src/cli/main.ts"), ...args], {
			env: { ...process.env, OFFSHOOT_DATA_DIR: "/nonexistent/offshoot", ...env },
		}).then(
			(result) => ({ ...result, code: 0 }),
			(error: { code: number; stdout: string; stderr: string }) => error,
		);

	test("an unknown command is a usage error with a hint", async () => {
		const { code, stderr } = await main(["statsu"]);
		expect(code).toBe(2);
		expect(stderr).toContain("Did you mean status?");
	});

	test("a wrong setting is named, without a stack", async () => {
		const { code, stderr } = await main(["status"], { OFFSHOOT_PORT: "none" });
		expect(code).toBe(1);
		expect(stderr).toMatch(/^offshoot: OFFSHOOT_PORT=none is not/);
		expect(stderr).not.toContain("    at ");
	});

	test("a setting that does not exist is told of, with the one that was meant", async () => {
		const { code, stderr } = await main(["status"], { OFFSHOOT_DATADIR: "/data" });
		expect(code).toBe(3);
		expect(stderr).toContain("OFFSHOOT_DATADIR is no setting: did you mean OFFSHOOT_DATA_DIR?");
	});

	test.each([[["--help"]], [["up", "--help"]], [["status", "--help"]], [["key", "--help"]], [["cert", "--help"]]])(
		"%j fits a terminal of 80 columns",
		async (args) => {
			const { stdout } = await main(args);
			expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
		},
	);

	test("status without a server exits with 3, env with 1 and the next step", async () => {
		expect(JSON.parse((await main(["status", "--json"])).stdout)).toEqual({
			state: "stopped",
			running: false,
			dataDir: "/nonexistent/offshoot",
		});
		expect((await main(["status"])).code).toBe(3);
		expect(await main(["env"])).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("FIX: ./offshoot up") });
	});
});

test("the README shows the quickstart program as it runs", async () => {
	const program = await readFile(join(REPOSITORY, "docs/examples/quickstart.mjs"), "utf8");
	expect(await readFile(join(REPOSITORY, "README.md"), "utf8")).toContain(program.trim());
});
