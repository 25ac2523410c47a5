/** GET /files: the bytes of one file, with ranges and conditions, or compressed. */

import type { Stats } from "node:fs";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { posix } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import fresh from "fresh";
import parseRange from "range-parser";
import { errnoOf, fileError, HttpError } from "../errors.ts";
import { loadMime, loadZlib } from "../lazy.ts";
import { chooseEncoding } from "./encoding.ts";
import { type FileRequest, headerOf } from "./request.ts";

/** Bytes read at once: large, since each read costs a round trip to the thread pool and the sandbox's kernel. */
const READ_SIZE = 256 * 1024;

const CONDITIONAL = ["range", "if-modified-since", "if-none-match", "if-range"] as const;

/** @throws HttpError */
export async function download(file: FileRequest): Promise<void> {
	const path = file.resolve(file.query.get("path") ?? "");
	const conditional = CONDITIONAL.some((name) => file.request.headers[name] !== undefined);
	const encoding = conditional ? "identity" : chooseEncoding(headerOf(file.request, "accept-encoding"));
	await using handle = await openRegular(path);
	const stats = await handle.stat();
	await setHeaders(file, path, stats);
	if (encoding === "gzip") await sendCompressed(file, handle);
	else if (stats.size === 0) await sendUnsized(file, handle, path);
	else await sendIdentity(file, handle, stats);
}

async function openRegular(path: string): Promise<FileHandle> {
	try {
		// Without NONBLOCK the open of a named pipe waits for a writer, in one of few threads.
		const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
		const stats = await handle.stat();
		if (stats.isFile()) return handle;
		await handle.close();
		throw new HttpError(400, stats.isDirectory() ? `path '${path}' is a directory` : `path '${path}' is not a regular file`);
	} catch (error) {
		// Parts of the path that are no directories mean for a reader that the file is not there.
		if (errnoOf(error) === "ENOTDIR") throw new HttpError(404, `path '${path}' does not exist`);
		throw fileError(error, path);
	}
}

async function setHeaders({ response }: FileRequest, path: string, stats: Stats): Promise<void> {
	const name = posix.basename(path);
	const type = (await loadMime()).getType(name) ?? "application/octet-stream";
	response.setHeader("Content-Type", type.startsWith("text/") ? `${type}; charset=utf-8` : type);
	response.setHeader("Content-Disposition", `inline; ${filenameParameter(name)}`);
	response.setHeader("Vary", "Accept-Encoding");
	response.setHeader("Last-Modified", stats.mtime.toUTCString());
}

/** RFC 6266: a plain token, a quoted string, or the extended form for other than ASCII. */
function filenameParameter(name: string): string {
	if (/^[\w.!#$&+^`|~-]+$/.test(name)) return `filename=${name}`;
	if (/^[\x20-\x7e]*$/.test(name)) return `filename="${name.replace(/["\\]/g, "\\$&")}"`;
	const encoded = Buffer.from(name).toString("hex").replace(/../g, "%$&").toUpperCase();
	return `filename*=UTF-8''${encoded}`;
}

async function sendCompressed({ response }: FileRequest, handle: FileHandle): Promise<void> {
	response.setHeader("Content-Encoding", "gzip");
	const { createGzip } = await loadZlib();
	// The fastest level: the way is short, the sandbox's processors are few.
	await pipeline(read(handle), createGzip({ level: 1 }), response);
}

/** Files of /proc and the like say that they are empty: what they hold shows only on reading. */
async function sendUnsized({ response }: FileRequest, handle: FileHandle, path: string): Promise<void> {
	const start = Buffer.alloc(READ_SIZE);
	const { bytesRead } = await handle.read(start, 0, start.length, null).catch((error: unknown) => {
		// Some of them, as /proc/self/mem, say so when they cannot be read from the start.
		if (errnoOf(error) === "EIO") throw new HttpError(400, `path '${path}' cannot be read as a file`);
		throw fileError(error, path);
	});
	if (bytesRead === 0) {
		response.setHeader("Content-Length", 0);
		response.end();
		return;
	}
	response.write(start.subarray(0, bytesRead));
	await pipeline(read(handle), response);
}

async function sendIdentity({ request, response }: FileRequest, handle: FileHandle, stats: Stats): Promise<void> {
	response.setHeader("Accept-Ranges", "bytes");
	const lastModified = stats.mtime.toUTCString();
	if (fresh(request.headers, { "last-modified": lastModified })) {
		response.writeHead(304).end();
		return;
	}
	const range = headerOf(request, "if-range") ?? lastModified;
	const wanted = range === lastModified ? requestedRange(headerOf(request, "range"), stats.size) : "all";
	if (wanted === "unsatisfiable") {
		response.setHeader("Content-Range", `bytes */${stats.size}`);
		throw new HttpError(416, "invalid range: failed to overlap");
	}
	const { start, end } = wanted === "all" ? { start: 0, end: stats.size - 1 } : wanted;
	if (wanted !== "all") {
		response.statusCode = 206;
		response.setHeader("Content-Range", `bytes ${start}-${end}/${stats.size}`);
	}
	response.setHeader("Content-Length", end - start + 1);
	await pipeline(
		handle.createReadStream({ start, end, highWaterMark: READ_SIZE, autoClose: false }),
		requireLength(end - start + 1),
		response,
	);
}

type Range = { readonly start: number; readonly end: number };

/** One range only; for several the whole file is as good an answer. */
function requestedRange(header: string | undefined, size: number): Range | "all" | "unsatisfiable" {
	if (header === undefined) return "all";
	const ranges = parseRange(size, header);
	if (ranges === -1) return "unsatisfiable";
	const first = ranges === -2 || ranges.type !== "bytes" || ranges.length !== 1 ? undefined : ranges[0];
	return first ?? "all";
}

/** Fails when the file became shorter while it was read: the connection must break, not look complete. */
function requireLength(expected: number) {
	return async function* (source: Readable): AsyncGenerator<Buffer> {
		let length = 0;
		for await (const chunk of source) {
			const data: Buffer = chunk;
			length += data.length;
			yield data;
		}
		if (length !== expected) throw new Error(`the file ended after ${length} of ${expected} bytes`);
	};
}

function read(handle: FileHandle): Readable {
	return handle.createReadStream({ highWaterMark: READ_SIZE, autoClose: false });
}
