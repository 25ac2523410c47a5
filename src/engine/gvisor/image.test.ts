import { mkdtemp, rm, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { committedBytes, DamagedImageError, inspectImage } from "./image.ts";

let dir: string;
beforeEach(async () => {
	dir = await mkdtemp(join(tmpdir(), "offshoot-image-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function varint(value: number): number[] {
	const bytes: number[] = [];
	let rest = value;
	while (rest > 127) {
		bytes.push((rest % 128) | 128);
		rest = Math.floor(rest / 128);
	}
	return [...bytes, rest];
}

/** One memory file's metadata: its length, then version 1 and the ranges. */
function memoryFile(ranges: readonly { start: number; end: number; committed: boolean }[]): Buffer {
	const body = [0x08, 0x01];
	for (const { start, end, committed } of ranges) {
		const range = [0x08, ...varint(start), 0x10, ...varint(end), 0x18, 1, ...(committed ? [0x28, 1] : [])];
		body.push(0x1a, ...varint(range.length), ...range);
	}
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(body.length));
	return Buffer.concat([length, Buffer.from(body)]);
}

const MAIN = memoryFile([
	{ start: 0, end: 8192, committed: true },
	{ start: 8192, end: 1 << 20, committed: false },
]);
const OVERLAY = memoryFile([{ start: 4096, end: 12288, committed: true }]);

async function writeImage(): Promise<void> {
	const json = Buffer.from("{}");
	const head = Buffer.alloc(16);
	head.write("gVisorSF");
	head.writeBigUInt64BE(BigInt(json.length), 8);
	await writeFile(join(dir, "checkpoint.img"), Buffer.concat([head, json, Buffer.from("objects")]));
	await writeFile(
		join(dir, "pages_meta.img"),
		Buffer.concat([MAIN, Buffer.from("\x82\x80 owners of the next memory file"), OVERLAY]),
	);
	await writeFile(join(dir, "pages.img"), Buffer.alloc(16384));
}

test("committed ranges of all memory files are counted", () => {
	expect(committedBytes(MAIN)).toBe(8192);
	expect(committedBytes(Buffer.concat([MAIN, Buffer.from("owners"), OVERLAY]))).toBe(16384);
});

test("a whole image is reported with its sizes", async () => {
	await writeImage();
	const { files, memoryBytes } = await inspectImage(dir);
	expect(memoryBytes).toBe(16384);
	expect(files.map((file) => file.name).sort()).toEqual(["checkpoint.img", "pages.img", "pages_meta.img"]);
});

test.each([
	["a page file cut short", () => truncate(join(dir, "pages.img"), 12288)],
	["an empty page file", () => truncate(join(dir, "pages.img"), 0)],
	["a missing page file", () => unlink(join(dir, "pages.img"))],
	["missing metadata", () => unlink(join(dir, "pages_meta.img"))],
	["metadata cut inside a message", () => truncate(join(dir, "pages_meta.img"), MAIN.length - 3)],
	["an empty state file", () => truncate(join(dir, "checkpoint.img"), 0)],
	["a state file that ends in its header", () => truncate(join(dir, "checkpoint.img"), 17)],
	["another kind of file", () => writeFile(join(dir, "checkpoint.img"), "x".repeat(200))],
])("%s is refused", async (_what, damage) => {
	await writeImage();
	await damage();
	await expect(inspectImage(dir)).rejects.toThrow(DamagedImageError);
});
