import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { takeTail } from "./output.ts";

test("output is taken once, and of too much only the end", async () => {
	const directory = await mkdtemp(join(tmpdir(), "offshoot-output-"));
	const path = join(directory, "log");
	expect(takeTail(path, 10)).toEqual({ text: "", bytes: 0 });
	await appendFile(path, "one\n");
	expect(takeTail(path, 10, 5)).toEqual({ text: "", bytes: 0 });
	expect(takeTail(path, 10)).toEqual({ text: "one\n", bytes: 4 });
	expect(takeTail(path, 10)).toEqual({ text: "", bytes: 0 });
	await appendFile(path, "0123456789abcdef");
	expect(takeTail(path, 10)).toEqual({ text: "6789abcdef", bytes: 16 });
	expect(await readFile(path, "utf8")).toBe("");
	await rm(directory, { recursive: true });
});
