import { open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ImageFile } from "../types.ts";

/**
 * Checks that a checkpoint is whole. runsc may exit 0 after a save that a full disk cut short, so its word is not
 * enough: the page file must be as long as the pages that the metadata counts.
 *
 * Formats (gVisor, release 20260905):
 * - checkpoint.img begins with the magic `gVisorSF`, a big-endian length and JSON metadata;
 * - pages_meta.img holds, for each memory file, a little-endian 64-bit length and a MemoryFileMetadataProto (field 1 version = 1,
 *   field 3 repeated ranges {1 start, 2 end, 5 known_committed}); between the first and the others stands an object of
 *   variable length that names their owners;
 * - pages.img is the concatenation of all committed ranges.
 */

const STATE = "checkpoint.img";
const PAGES_META = "pages_meta.img";
const PAGES = "pages.img";
const IMAGE_FILES: readonly string[] = [STATE, PAGES_META, PAGES];

const MAGIC = Buffer.from("gVisorSF");
const MAX_METADATA = 16 * 1024 * 1024;

/** Why an image cannot be used. */
export class DamagedImageError extends Error {
	override readonly name = "DamagedImageError";
}

/** @throws DamagedImageError when the image in `dir` is not whole */
export async function inspectImage(dir: string): Promise<{ files: readonly ImageFile[]; memoryBytes: number }> {
	const present = await readdir(dir);
	const missing = IMAGE_FILES.filter((name) => !present.includes(name));
	if (missing.length > 0) throw new DamagedImageError(`${dir}: ${missing.join(", ")} missing`);

	await checkState(join(dir, STATE));
	const expected = committedBytes(await readFile(join(dir, PAGES_META)));
	const files = await Promise.all(present.map(async (name) => ({ name, size: (await stat(join(dir, name))).size })));
	const pages = files.find((file) => file.name === PAGES)?.size ?? 0;
	if (pages !== expected) {
		throw new DamagedImageError(`${dir}: ${PAGES} has ${pages} bytes, its metadata counts ${expected}: the save was cut short`);
	}
	return { files, memoryBytes: pages };
}

async function checkState(path: string): Promise<void> {
	const file = await open(path, "r");
	try {
		const head = Buffer.alloc(16);
		const { bytesRead } = await file.read(head, 0, 16, 0);
		const length = bytesRead === 16 ? Number(head.readBigUInt64BE(8)) : 0;
		if (!head.subarray(0, 8).equals(MAGIC) || length === 0 || length > MAX_METADATA) {
			throw new DamagedImageError(`${path}: not a state file`);
		}
		if ((await file.stat()).size <= 16 + length) throw new DamagedImageError(`${path}: ends inside its metadata`);
	} finally {
		await file.close();
	}
}

/** Sum of the committed ranges of all memory files. @throws DamagedImageError */
export function committedBytes(meta: Buffer): number {
	let total = 0;
	let offset = 0;
	let found = 0;
	while (offset < meta.length) {
		const message = memoryFileAt(meta, offset);
		if (message === undefined) {
			if (found === 0) break;
			// Inside the object between the memory files: look for the next length that fits.
			offset += 1;
			continue;
		}
		total += sumRanges(message);
		offset += 8 + message.length;
		found += 1;
	}
	if (found === 0) throw new DamagedImageError(`${PAGES_META}: unknown format`);
	return total;
}

/** The protobuf message that starts with its length at `offset`, if one does: it must fit and begin with version 1. */
function memoryFileAt(meta: Buffer, offset: number): Buffer | undefined {
	if (offset + 10 > meta.length) return undefined;
	const length = meta.readBigUInt64LE(offset);
	if (length < 2n || length > BigInt(meta.length - offset - 8)) return undefined;
	const message = meta.subarray(offset + 8, offset + 8 + Number(length));
	if (message[0] !== 0x08 || message[1] !== 0x01) return undefined;
	return message;
}

function sumRanges(message: Buffer): number {
	let total = 0n;
	for (const field of fields(message)) {
		if (field.number !== 3 || field.bytes === undefined) continue;
		const range = new Map<number, bigint>();
		for (const part of fields(field.bytes)) range.set(part.number, part.value);
		if (range.get(5) === 1n) total += (range.get(2) ?? 0n) - (range.get(1) ?? 0n);
	}
	return Number(total);
}

interface Field {
	readonly number: number;
	readonly value: bigint;
	readonly bytes: Buffer | undefined;
}

/** Walks the fields of a protobuf message that has varints and length-delimited fields only. */
export function* fields(message: Buffer): Generator<Field> {
	let offset = 0;
	while (offset < message.length) {
		const key = varint(message, offset);
		const value = varint(message, key.next);
		const number = Number(key.value >> 3n);
		const wireType = Number(key.value & 7n);
		offset = value.next;
		if (wireType === 0) {
			yield { number, value: value.value, bytes: undefined };
		} else if (wireType === 2) {
			const end = offset + Number(value.value);
			if (end > message.length) throw new DamagedImageError(`${PAGES_META}: a field runs past its message`);
			yield { number, value: 0n, bytes: message.subarray(offset, end) };
			offset = end;
		} else {
			throw new DamagedImageError(`${PAGES_META}: unexpected wire type ${wireType}`);
		}
	}
}

function varint(buffer: Buffer, start: number): { value: bigint; next: number } {
	let value = 0n;
	for (let index = start; index < buffer.length && index < start + 10; index++) {
		const byte = buffer[index] ?? 0;
		value |= BigInt(byte & 0x7f) << BigInt(7 * (index - start));
		if (byte < 0x80) return { value, next: index + 1 };
	}
	throw new DamagedImageError(`${PAGES_META}: ends inside a number`);
}
