import { expect, it } from "vitest";
import { LineReader } from "./protocol.ts";

it.each([
	[
		["[1]\n[2", ",3]", "\n", "[4]\n[5]\n"],
		[[1], [2, 3], [4], [5]],
	],
	[
		["[1", ",2]\n[3]\n[4"],
		[[1, 2], [3]],
	],
	[["\n"], undefined],
])("lines come whole, however they were cut: %j", (chunks, lines) => {
	const reader = new LineReader<number[]>();
	const read = () => chunks.flatMap((chunk) => reader.push(chunk));
	if (lines === undefined) expect(read).toThrow(SyntaxError);
	else expect(read()).toEqual(lines);
});
