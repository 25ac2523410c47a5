/** What the elements of a chart are called, whatever matplotlib notes for itself. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestSandbox, type TestSandbox } from "./testing/sandbox.ts";

let sandbox: TestSandbox;

beforeAll(async () => {
	sandbox = await startTestSandbox();
}, 300_000);

afterAll(() => sandbox?.close());

async function labels(code: string): Promise<string[]> {
	const setup = "import datetime\nimport matplotlib.pyplot as plt, numpy as np";
	const { results, error } = await sandbox.client().runCode(`${setup}\n${code}\nplt.show()`);
	expect(error).toBeUndefined();
	const elements: { label: string }[] = results.find(({ chart }) => chart !== undefined)?.chart?.elements ?? [];
	return elements.map(({ label }) => label);
}

describe("bars are called", () => {
	const eight = "[1, 2, 3, 4, 5, 7, 9, 12]";

	it.each([
		["hist([0, 1, 2, 3, 4, 5, 6, 7])", ["0.35", "1.05", "1.75", "2.45", "3.15", "3.85", "4.55", "5.25", "5.95", "6.65"]],
		[`bar(${eight}, ${eight})`, ["1", "2", "3", "4", "5", "7", "9", "12"]],
		[`barh(${eight}, ${eight})`, ["1", "2", "3", "4", "5", "7", "9", "12"]],
		[`bar(${eight}, ${eight}); plt.xticks(range(0, 16, 2))`, ["1", "2", "3", "4", "5", "7", "9", "12"]],
		["bar([2020, 2021, 2022], [5, 6, 7])", ["2020", "2021", "2022"]],
		["bar([1234567, 2345678], [5, 6])", ["1234567", "2345678"]],
		["bar([-1, 0.5], [5, 6])", ["-1", "0.5"]],
		["bar([10, 100], [1, 2], width=[5, 50]); plt.xscale('log')", ["10", "100"]],
		["bar([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)], [1, 2])", ["2024-01-01", "2024-01-02"]],
	])("after the values at their centres, however many ticks there are: %s", async (code, expected) => {
		const found = await labels(`plt.${code}`);
		expect(found.map((label) => label.replace("T00:00:00+00:00", ""))).toEqual(expected);
	});

	it.each([
		["plt.bar([1, 4], [5, 6], tick_label=['one', 'four'])", ["one", "four"]],
		["plt.bar([0, 1, 2], [5, 6, 7]); plt.xticks([0, 2], ['first', 'last'])", ["first", "1", "last"]],
		["plt.bar(['x', 'y'], [1, 2]); plt.bar(['y', 'x'], [3, 4])", ["x", "y", "y", "x"]],
		["plt.bar([1, 2], [5, 6]); plt.gca().xaxis.set_major_formatter('no. {x:.0f}')", ["no. 1", "no. 2"]],
		[
			"for i in range(3): plt.bar(np.arange(2) + i / 4, [1, 2], 0.25)\nplt.xticks([0, 1], ['a', 'b'])",
			["a", "b", "a", "b", "a", "b"],
		],
		["for i in range(2): plt.bar(np.arange(3) + i / 4, [1, 2, 3], 0.25)\nplt.xticks([0, 1, 2])", ["0", "1", "2", "0", "1", "2"]],
	])("what the axis says of them or of their group: %j", async (code, expected) => {
		expect(await labels(code)).toEqual(expected);
	});
});

describe("labels that matplotlib keeps for itself are none", () => {
	it.each([
		["plt.stem([1, 2, 3])", ["Line 1", "Line 2"]],
		["plt.errorbar([1, 2], [3, 4], yerr=0.1, capsize=3)", ["Line 0"]],
		["plt.plot([1, 2], label='_hidden'); plt.plot([2, 3], label='shown')", ["Line 0", "shown"]],
		["plt.scatter([1], [2], label='_nolegend_')", ["Group 0"]],
	])("%s", async (code, expected) => {
		expect(await labels(code)).toEqual(expected);
	});

	it("and a line with stems or error bars has the label of the whole", async () => {
		expect(await labels("plt.stem([1, 2, 3], label='stems')")).toEqual(["stems", "Line 2"]);
		expect(await labels("plt.errorbar([1, 2], [3, 4], yerr=0.1, label='measured')")).toEqual(["measured"]);
	});
});
