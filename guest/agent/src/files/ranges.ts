/** The Range header of a download: RFC 9110, section 14.1.2, as strict and as lenient as Go's `http.ServeContent` is. */
import { randomBytes } from "node:crypto";

/** First and last byte, both included. */
export interface Range {
	readonly start: number;
	readonly end: number;
}

/** @returns no ranges where the whole file is meant; `invalid` for what is no list of byte ranges */
export function requestedRanges(header: string | undefined, size: number): readonly Range[] | "invalid" | "unsatisfiable" {
	if (header === undefined) return [];
	if (!header.startsWith("bytes=")) return "invalid";
	const items = header
		.slice("bytes=".length)
		.split(",")
		.map((item) => item.trim())
		.filter((item) => item !== "");
	const parsed = items.map((item) => parseRange(item, size));
	if (parsed.includes("invalid")) return "invalid";
	const ranges = parsed.filter((range) => typeof range === "object");
	if (ranges.length === 0 && parsed.length > 0) return "unsatisfiable";
	// Who asks for more than there is would get bytes twice: the whole is less.
	return ranges.reduce((sum, range) => sum + lengthOf(range), 0) > size ? [] : ranges;
}

function parseRange(item: string, size: number): Range | "invalid" | "outside" {
	const [, first = "", last = ""] = /^(\d*)\s*-\s*(\d*)$/.exec(item) ?? [];
	if (first === "" && last === "") return "invalid";
	const start = first === "" ? Math.max(size - Number(last), 0) : Number(first);
	const end = first === "" || last === "" ? size - 1 : Number(last);
	if (start >= size) return "outside";
	return start > end ? "invalid" : { start, end: Math.min(end, size - 1) };
}

export function lengthOf({ start, end }: Range): number {
	return end - start + 1;
}

/** As in Content-Range. */
export function rangeOf({ start, end }: Range, size: number): string {
	return `bytes ${start}-${end}/${size}`;
}

export interface Part {
	/** What stands before the range's bytes. */
	readonly head: string;
	readonly range: Range;
}

/** The frame of an answer of type `multipart/byteranges`. */
export interface Multipart {
	readonly boundary: string;
	readonly parts: readonly Part[];
	readonly tail: string;
	/** bytes of the whole body */
	readonly length: number;
}

/** @param file its size in bytes and its type */
export function multipartOf(ranges: readonly Range[], file: { readonly size: number; readonly type: string }): Multipart {
	const { size, type } = file;
	const boundary = randomBytes(30).toString("hex");
	const parts = ranges.map((range, index) => ({
		head: `${index === 0 ? "" : "\r\n"}--${boundary}\r\nContent-Range: ${rangeOf(range, size)}\r\nContent-Type: ${type}\r\n\r\n`,
		range,
	}));
	const tail = `\r\n--${boundary}--\r\n`;
	const length = parts.reduce((sum, { head, range }) => sum + head.length + lengthOf(range), tail.length);
	return { boundary, parts, tail, length };
}
