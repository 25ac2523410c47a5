import { closeSync, fstatSync, ftruncateSync, openSync, readSync, statSync } from "node:fs";
import type { TakenOutput } from "../types.ts";

const NOTHING: TakenOutput = { text: "", bytes: 0 };

/**
 * Reads the end of a file that others append to, and empties it. Synchronous: nothing may come between, or more would be
 * lost than must be; a file that is empty, as most are, costs microseconds.
 */
export function takeTail(path: string, maxBytes: number, minBytes = 1): TakenOutput {
	if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) < minBytes) return NOTHING;
	const file = openSync(path, "r+");
	try {
		const { size } = fstatSync(file);
		const buffer = Buffer.alloc(Math.min(size, maxBytes));
		const length = readSync(file, buffer, 0, buffer.length, size - buffer.length);
		ftruncateSync(file, 0);
		return { text: buffer.toString("utf8", 0, length), bytes: size };
	} finally {
		closeSync(file);
	}
}
