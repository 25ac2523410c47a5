/**
 * Random bytes of the operating system. Unlike those of node:crypto, which come from a generator in this process's memory,
 * they differ between the clones of one snapshot.
 */

import { openSync, readSync } from "node:fs";

let urandom: number | undefined;

export function randomBytes(size: number): Buffer {
	const bytes = Buffer.alloc(size);
	fillRandom(bytes);
	return bytes;
}

export function fillRandom(bytes: Uint8Array): void {
	urandom ??= openSync("/dev/urandom", "r");
	for (let filled = 0; filled < bytes.length; ) filled += readSync(urandom, bytes, filled, bytes.length - filled, null);
}

/** A random UUID (version 4). */
export function randomUUID(): string {
	const bytes = randomBytes(16);
	bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
	bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
	const hex = bytes.toString("hex");
	return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
