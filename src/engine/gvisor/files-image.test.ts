import { mkdtemp, rm, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { inspectFilesImage } from "./files-image.ts";
import { DamagedImageError } from "./image.ts";

let dir: string;
beforeEach(async () => {
	dir = await mkdtemp(join(tmpdir(), "offshoot-files-image-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** As release 20260905 wrote it for one filesystem: 108 bytes of metadata, 11,264 of names, 209,723,392 of pages. */
const MANIFEST = Buffer.from(
	"080112116f666673686f6f742d323032363039303518802022066c6974746c652a140a100a0b5f5f6e6f5f6e616d655f3012012f186c32" +
		"150a100a0b5f5f6e6f5f6e616d655f3012012f188058",
	"hex",
);
const PAGES_META = Buffer.from(
	"6400000000000000080112001a0b1080c080641803200628011a0e0880c080641080e080641803200622071080e0806418012211088080" +
		"80800410ffffffffffffffffff012a0b10ffffffffffffffffff01320b10ffffffffffffffffff013a0b10ffffffffffffffffff01",
	"hex",
);
const PAGES = 209_723_392;

async function writeImage(): Promise<void> {
	await writeFile(join(dir, "fscheckpoint.pb"), MANIFEST);
	await writeFile(join(dir, "pages_meta.img"), PAGES_META);
	await writeFile(join(dir, "multitar.img"), Buffer.alloc(11_264));
	// Sparse: the size is what counts.
	await writeFile(join(dir, "pages.img"), "");
	await truncate(join(dir, "pages.img"), PAGES);
}

test("a whole capture of files is told with its sizes", async () => {
	await writeImage();
	const files = await inspectFilesImage(dir);
	expect(Object.fromEntries(files.map(({ name, size }) => [name, size]))).toEqual({
		"fscheckpoint.pb": MANIFEST.length,
		"multitar.img": 11_264,
		"pages_meta.img": 108,
		"pages.img": PAGES,
	});
});

test.each(["fscheckpoint.pb", "multitar.img", "pages_meta.img", "pages.img"])(
	"a missing or shortened %s is found",
	async (name) => {
		await writeImage();
		const whole = (await inspectFilesImage(dir)).find((file) => file.name === name)?.size ?? 0;
		await truncate(join(dir, name), whole - 8);
		await expect(inspectFilesImage(dir)).rejects.toThrow(DamagedImageError);
		await unlink(join(dir, name));
		await expect(inspectFilesImage(dir)).rejects.toThrow(DamagedImageError);
	},
);
