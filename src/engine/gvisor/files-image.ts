import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ImageFile } from "../types.ts";
import { committedBytes, DamagedImageError, fields } from "./image.ts";

/**
 * Checks that a capture of files is whole, as image.ts does for one of memory.
 *
 * Formats (gVisor, release 20260905):
 * - fscheckpoint.pb is a Manifest: field 1 version = 1, field 5 repeated memory files {3 end in pages_meta.img}, field 6
 *   repeated filesystems {3 end in multitar.img};
 * - multitar.img holds one tar archive of names and attributes for each filesystem, without content;
 * - pages_meta.img and pages.img hold the content, as in an image of memory.
 */

const MANIFEST = "fscheckpoint.pb";
const NAMES = "multitar.img";
const PAGES_META = "pages_meta.img";
const PAGES = "pages.img";

/** @throws DamagedImageError when the capture in `dir` is not whole */
export async function inspectFilesImage(dir: string): Promise<readonly ImageFile[]> {
	const present = await readdir(dir);
	const missing = [MANIFEST, NAMES, PAGES_META, PAGES].filter((name) => !present.includes(name));
	if (missing.length > 0) throw new DamagedImageError(`${dir}: ${missing.join(", ")} missing`);

	const ends = readEnds(await readFile(join(dir, MANIFEST)));
	const files = await Promise.all(present.map(async (name) => ({ name, size: (await stat(join(dir, name))).size })));
	const expect = (name: string, size: number) => {
		const found = files.find((file) => file.name === name)?.size ?? 0;
		if (found === size) return;
		throw new DamagedImageError(`${dir}: ${name} has ${found} bytes instead of ${size}: the save was cut short`);
	};
	expect(NAMES, ends.names);
	expect(PAGES_META, ends.pagesMeta);
	expect(PAGES, committedBytes(await readFile(join(dir, PAGES_META))));
	return files;
}

function readEnds(manifest: Buffer): { readonly names: number; readonly pagesMeta: number } {
	let version = 0n;
	let names = 0;
	let pagesMeta = 0;
	for (const { number, value, bytes } of fields(manifest)) {
		if (number === 1) version = value;
		if (number === 5 && bytes !== undefined) pagesMeta = Math.max(pagesMeta, endIn(bytes));
		if (number === 6 && bytes !== undefined) names = Math.max(names, endIn(bytes));
	}
	if (version !== 1n || names === 0 || pagesMeta === 0) throw new DamagedImageError(`${MANIFEST}: unknown format, or cut short`);
	return { names, pagesMeta };
}

function endIn(message: Buffer): number {
	for (const field of fields(message)) if (field.number === 3) return Number(field.value);
	return 0;
}
