import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestSandbox, type TestSandbox } from "./testing/sandbox.ts";

let sandbox: TestSandbox;

beforeAll(async () => {
	sandbox = await startTestSandbox();
}, 300_000);

afterAll(() => sandbox?.close());

const run = (code: string) => sandbox.client().runCode(code);

describe("python", () => {
	it("streams output as it was written and returns the last expression", async () => {
		const seen: string[] = [];
		const execution = await sandbox.client().runCode("import sys\nprint('Hello')\nprint('oh', file=sys.stderr)\n'text'", {
			onStdout: ({ line }) => void seen.push(line),
		});
		expect(seen).toEqual(["Hello\n"]);
		expect(execution.logs).toEqual({ stdout: ["Hello\n"], stderr: ["oh\n"] });
		expect(execution.text).toBe("text");
		expect((await run("x = 1")).results).toEqual([]);
	});

	it("reports an error with a plain traceback", async () => {
		const { error } = await run("def f(): return 1 / 0\nf()");
		expect(error).toMatchObject({ name: "ZeroDivisionError", value: "division by zero" });
		expect(error?.traceback).toContain("----> 2 f()");
		expect(error?.traceback).not.toContain("\u001b[");
		expect((await run("1 +")).error?.name).toBe("SyntaxError");
		expect((await run("input()")).error?.name).toBe("StdinNotImplementedError");
	});

	it("runs magics, shell lines, await and indented code", async () => {
		expect((await run("!pwd")).logs.stdout.join("").trim()).toBe(sandbox.home);
		expect((await run("import asyncio\nawait asyncio.sleep(0, 'awaited')")).text).toBe("awaited");
		expect((await run("    y = 2\n    y")).text).toBe("2");
	});

	it("shortens nothing", async () => {
		expect((await run("list(range(3000))")).text).toContain("2999]");
		expect((await run("'x' * 200_000")).text).toHaveLength(200_000);
	});

	it("shows text that native code and child processes write", async () => {
		const { logs } = await run("import os, subprocess\nos.write(1, b'native\\n')\nsubprocess.run(['echo', 'child'])\nNone");
		expect(logs.stdout.join("")).toBe("native\nchild\n");
	});
});

describe("results", () => {
	it("carry every form of an object", async () => {
		const { results } = await run(`
class Everything:
    def _repr_html_(self): return "<b>h</b>"
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
		const base64 = (text: string) => Buffer.from(text).toString("base64");
		expect(results).toHaveLength(1);
		expect(results[0]).toMatchObject({
			isMainResult: true,
			text: "plain",
			html: "<b>h</b>",
			markdown: "**m**",
			svg: "<svg/>",
			latex: "$l$",
			javascript: "alert(1)",
			json: { k: [1] },
			png: expect.stringContaining(base64("png")),
			jpeg: expect.stringContaining(base64("jpeg")),
			pdf: expect.stringContaining(base64("pdf")),
			extra: {},
		});
	});

	it("keep types of their own under `extra` on the wire", async () => {
		const events = await sandbox.execute({ code: "display({'application/x-own': 'o', 'text/plain': 't'}, raw=True)" });
		expect(events[1]).toEqual({ type: "result", is_main_result: false, text: "t", extra: { "application/x-own": "o" } });
	});

	it("give lists and dicts as JSON", async () => {
		const { results } = await run("import numpy as np\n{'a': np.arange(2), 1: float('nan'), 'n': [None, True]}");
		expect(results[0]?.json).toEqual({ a: [0, 1], 1: null, n: [null, true] });
		expect((await run("[object()]")).results[0]?.json).toBeUndefined();
	});

	it("give tables as data", async () => {
		const { results } = await run(`
import pandas as pd
pd.DataFrame({"n": [1, 2], "t": [pd.Timestamp("2024-01-01 10:00"), pd.NaT], "f": [0.5, float("nan")], "c": pd.Categorical(["x", "y"])})`);
		expect(results[0]?.data).toEqual({ n: [1, 2], t: ["2024-01-01T10:00:00", null], f: [0.5, null], c: ["x", "y"] });
		expect(results[0]?.html).toContain("<table");
		expect(results[0]?.text).toContain("2024-01-01");
	});

	it("show images that are saved, shown or returned", async () => {
		const { results } = await run("from PIL import Image\ni = Image.new('RGB', (4, 4))\ni.save('a.png')\ni.show()\ni");
		expect(results.map((result) => [result.isMainResult, result.png?.startsWith("iVBOR")])).toEqual([
			[false, true],
			[false, true],
			[true, true],
		]);
	});
});

describe("charts", () => {
	const chart = async (code: string) => {
		const { results, error } = await run(`import matplotlib.pyplot as plt\n${code}\nplt.show()`);
		expect(error).toBeUndefined();
		expect(results).toHaveLength(1);
		expect(results[0]).toMatchObject({
			isMainResult: false,
			png: expect.any(String),
			text: expect.stringContaining("Figure"),
			extra: {},
		});
		return results[0]?.chart;
	};

	it("come with each shown figure, beside the value of the cell", async () => {
		const { results } = await run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n'end'");
		expect(results.map(({ isMainResult, chart, text }) => [isMainResult, chart?.type ?? text])).toEqual([
			[false, "line"],
			[true, "end"],
		]);
	});

	it("describe lines", async () => {
		const found = await chart(`
import datetime
days = [datetime.date(2023, 9, 1) + datetime.timedelta(days=i) for i in range(3)]
plt.plot(days, [1, 2, 4], label="up")
plt.plot(days, [3, 2, 1])
plt.title("Lines"); plt.xlabel("Time (s)"); plt.ylabel("Amplitude [Hz]"); plt.yscale("log")`);
		expect(found).toMatchObject({
			type: "line",
			title: "Lines",
			x_label: "Time (s)",
			x_unit: "s",
			y_label: "Amplitude [Hz]",
			y_unit: "Hz",
			x_scale: "datetime",
			y_scale: "log",
			elements: [
				{
					label: "up",
					points: [
						["2023-09-01", 1],
						["2023-09-02", 2],
						["2023-09-03", 4],
					],
				},
				{
					label: "Line 1",
					points: [
						["2023-09-01", 3],
						["2023-09-02", 2],
						["2023-09-03", 1],
					],
				},
			],
		});
		expect(found).toHaveProperty("x_ticks.0", expect.stringMatching(/^2023-/));
		expect(found).toHaveProperty("y_ticks.0", expect.any(Number));
		expect(found).toHaveProperty("x_tick_labels.0", expect.any(String));
		expect(found).toHaveProperty("y_tick_labels.0", expect.any(String));
	});

	it("describe categories on an axis", async () => {
		expect(await chart("plt.plot([1, 2, 3], ['a', 'b', 'c'])")).toMatchObject({
			x_scale: "linear",
			y_scale: "categorical",
			y_tick_labels: ["a", "b", "c"],
			title: null,
			x_label: null,
			x_unit: null,
			elements: [
				{
					label: "Line 0",
					points: [
						[1, "a"],
						[2, "b"],
						[3, "c"],
					],
				},
			],
		});
	});

	it.each([
		["symlog", ""],
		["logit", ""],
		["asinh", ""],
		["function", ", functions=(lambda x: x, lambda x: x)"],
		["functionlog", ", functions=(lambda x: x, lambda x: x)"],
	])("tell the scale %s of an axis", async (scale, options) => {
		expect(await chart(`plt.plot([0.1, 0.5], [0.1, 0.5]); plt.yscale("${scale}"${options})`)).toMatchObject({
			x_scale: "linear",
			y_scale: scale,
			elements: [
				{
					points: [
						[0.1, 0.1],
						[0.5, 0.5],
					],
				},
			],
		});
	});

	it("describe scattered points", async () => {
		expect(await chart("plt.scatter([1, 2], [3, 4], label='A'); plt.scatter([5], [6], label='B'); plt.axhline(5)")).toMatchObject(
			{
				type: "scatter",
				x_scale: "linear",
				elements: [
					{
						label: "A",
						points: [
							[1, 3],
							[2, 4],
						],
					},
					{ label: "B", points: [[5, 6]] },
				],
			},
		);
	});

	it("describe bars, upright and lying", async () => {
		expect(
			await chart("plt.bar(['x', 'y'], [1, 2], label='Sold'); plt.bar(['x', 'y'], [2, 1], bottom=[1, 2]); plt.xlabel('Who')"),
		).toEqual({
			type: "bar",
			title: null,
			x_label: "Who",
			y_label: null,
			x_unit: null,
			y_unit: null,
			elements: [
				{ label: "x", group: "Sold", value: 1 },
				{ label: "y", group: "Sold", value: 2 },
				{ label: "x", group: "Group 1", value: 2 },
				{ label: "y", group: "Group 1", value: 1 },
			],
		});
		expect(await chart("plt.barh(['x', 'y'], [5, 5]); plt.xlabel('Count'); plt.ylabel('Who')")).toMatchObject({
			x_label: "Who",
			y_label: "Count",
			elements: [
				{ label: "x", value: 5 },
				{ label: "y", value: 5 },
			],
		});
	});

	it("describe groups of bars and histograms", async () => {
		const grouped = await chart(`
import numpy as np
x = np.arange(2)
plt.bar(x - 0.2, [1, 2], 0.4, label="m"); plt.bar(x + 0.2, [3, 4], 0.4, label="w"); plt.xticks(x, ["g1", "g2"])`);
		expect(grouped).toHaveProperty("elements.3", { label: "g2", group: "w", value: 4 });
		expect(await chart("plt.hist([1, 1, 2], bins=2)")).toMatchObject({
			elements: [
				{ label: "1.25", value: 2 },
				{ label: "1.75", value: 1 },
			],
		});
	});

	it("describe pies", async () => {
		expect(await chart("plt.pie([90, 10], labels=['No', 'Yes'], autopct='%1.1f%%', startangle=90); plt.title('Pie')")).toEqual({
			type: "pie",
			title: "Pie",
			elements: [
				{ label: "No", angle: 324, radius: 1 },
				{ label: "Yes", angle: 36, radius: 1 },
			],
		});
	});

	it.each([
		["upright", "", ["Class", "Score"]],
		["lying", ", orientation='horizontal'", ["Score", "Class"]],
		["filled", ", patch_artist=True", ["Class", "Score"]],
	])("describe %s boxes", async (_name, options, labels) => {
		const found = await chart(`
data = {"A": [85, 90, 78, 92, 88], "B": [95, 89, 76, 91, 84, 87]}
plt.boxplot(data.values(), tick_labels=data.keys()${options}); plt.xlabel("Class"); plt.ylabel("Score")`);
		expect(found).toEqual({
			type: "box_and_whisker",
			title: null,
			x_label: labels[0],
			y_label: labels[1],
			x_unit: null,
			y_unit: null,
			elements: [
				{ label: "A", min: 78, first_quartile: 85, median: 88, third_quartile: 90, max: 92, outliers: [] },
				{ label: "B", min: 84, first_quartile: 84.75, median: 88, third_quartile: 90.5, max: 95, outliers: [76] },
			],
		});
	});

	it("describe several axes, unknown and empty figures", async () => {
		const found = await chart(`
f, axes = plt.subplots(1, 2); f.suptitle("Both"); axes[0].plot([1]); axes[1].scatter([1], [1]); axes[1].set_title("S")`);
		expect(found).toMatchObject({
			type: "superchart",
			title: "Both",
			elements: [{ type: "line" }, { type: "scatter", title: "S" }],
		});
		expect(await chart("plt.gca().add_artist(plt.Circle((0, 0), 1)); plt.title('C')")).toEqual({
			type: "unknown",
			title: "C",
			elements: [],
		});
		const { results } = await run("import matplotlib.pyplot as plt\nplt.subplots()\nplt.show()");
		expect(results[0]?.chart).toEqual({});
	});
});

describe("an interrupt between two steps of the kernel itself", () => {
	it("ends the execution it hit, and the kernel goes on with its state", async () => {
		await sandbox.execute({
			code: [
				"kernel = get_ipython().kernel",
				"handler = kernel.shell_handlers['execute_request']",
				"async def interrupted(*_):",
				"    kernel.shell_handlers['execute_request'] = handler",
				"    raise KeyboardInterrupt",
				"kernel.shell_handlers['execute_request'] = interrupted",
			].join("\n"),
		});
		const events = await sandbox.execute({ code: "1" });
		expect(events.filter(({ type }) => type !== "keepalive")).toMatchObject([
			{ type: "error", name: "ExecutionAborted" },
			{ type: "end_of_execution" },
		]);
		expect((await sandbox.client().runCode("handler.__name__")).text).toBe("execute_request");
	});
});
