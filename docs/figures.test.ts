/** Operators plan by the figures in the documents: they are those of the code. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ENGINE_BYTES, HEAD_ROOM_BYTES } from "../src/engine/index.ts";

function mb(bytes: number): string {
	return `${(bytes / (1024 * 1024)).toLocaleString("en-US")} MB`;
}

test.each(["docs/self-hosting.md", "README.md"])("%s says how much memory a sandbox may take of its host", (name) => {
	const text = readFileSync(join(import.meta.dirname, "..", name), "utf8");
	expect(text).toContain(mb(ENGINE_BYTES));
	expect(text).toContain(mb(HEAD_ROOM_BYTES));
});
