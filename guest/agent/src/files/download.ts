/** GET /files: the bytes of one file, with ranges and conditions, or compressed. */

import type { Stats } from "node:fs";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { posix } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import fresh from "fresh";
import { errnoOf, fileError, HttpError, isMissing } from "../errors.ts";
import { loadMime, loadSniff, loadZlib } from "../lazy.ts";
import { chooseEncoding } from "./encoding.ts";
import { lengthOf, type Multipart, multipartOf, type Range, rangeOf, requestedRanges } from "./ranges.ts";
import { type FileRequest, headerOf } from "./request.ts";

/** Bytes read at once: large, since each read costs a round trip to the thread pool and the sandbox's kernel. */
const READ_SIZE = 256 * 1024;

const CONDITIONAL = ["range", "if-match", "if-unmodified-since", "if-none-match", "if-modified-since", "if-range"] as const;

/** @throws HttpError */
export async function download(file: FileRequest): Promise<void> {
	const path = file.resolve(file.query.get("path") ?? "");
	const conditional = CONDITIONAL.some((name) => file.request.headers[name] !== undefined);
	const encoding = conditional ? "identity" : chooseEncoding(headerOf(file.request, "accept-encoding"));
	await using handle = await openRegular(path);
	const stats = await handle.stat();
	const type = (await typeByName(path)) ?? (encoding === "gzip" ? UNKNOWN_TYPE : await typeByContent(handle));
	setHeaders(file, { path, type, stats });
	requireUnchanged(file, stats);
	if (encoding === "gzip") await sendCompressed(file, handle);
	else if (stats.size === 0) await sendUnsized(file, handle, path);
	else await sendIdentity(file, handle, { type, stats });
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
		if (isMissing(error)) throw new HttpError(404, `path '${path}' does not exist`);
		throw fileError(error, path);
	}
}

const UNKNOWN_TYPE = "application/octet-stream";

async function typeByName(path: string): Promise<string | undefined> {
	const type = (await loadMime()).getType(path) ?? undefined;
	return type?.startsWith("text/") ? `${type}; charset=utf-8` : type;
}

/** What cannot be read is told when it is to be sent. */
async function typeByContent(handle: FileHandle): Promise<string> {
	const { sniffType, SNIFFED_BYTES } = await loadSniff();
	const start = Buffer.alloc(SNIFFED_BYTES);
	const read = await handle.read(start, 0, SNIFFED_BYTES, 0).catch(() => undefined);
	return read === undefined ? UNKNOWN_TYPE : sniffType(start.subarray(0, read.bytesRead));
}

interface Facts {
	readonly type: string;
	readonly stats: Stats;
}

function setHeaders({ response }: FileRequest, { path, type, stats }: Facts & { readonly path: string }): void {
	response.setHeader("Content-Type", type);
	response.setHeader("Content-Disposition", `inline; ${filenameParameter(posix.basename(path))}`);
	response.setHeader("Vary", "Accept-Encoding");
	response.setHeader("Last-Modified", stats.mtime.toUTCString());
}

/**
 * RFC 9110, section 13.2.2: the conditions on which there is an answer at all. Files have no entity tags, so that only
 * `*` matches; where tags are asked for, the time is not.
 * @throws HttpError 412
 */
function requireUnchanged({ request }: FileRequest, { mtimeMs }: Stats): void {
	const tags = headerOf(request, "if-match");
	if (tags !== undefined) {
		if (tags.trim() !== "*") throw new HttpError(412, "precondition failed: files have no entity tags");
		return;
	}
	const time = Date.parse(headerOf(request, "if-unmodified-since") ?? "");
	// Times in header fields are of whole seconds; what is no time is no condition.
	if (Math.floor(mtimeMs / 1000) * 1000 > time) throw new HttpError(412, "precondition failed: the file was modified since");
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

async function sendIdentity({ request, response }: FileRequest, handle: FileHandle, { type, stats }: Facts): Promise<void> {
	response.setHeader("Accept-Ranges", "bytes");
	const lastModified = stats.mtime.toUTCString();
	// Not the request's Cache-Control, which is for caches on the way; `fetch` sends one with every condition.
	const { "if-modified-since": since, "if-none-match": match } = request.headers;
	if (fresh({ "if-modified-since": since, "if-none-match": match }, { "last-modified": lastModified })) {
		response.writeHead(304).end();
		return;
	}
	const condition = headerOf(request, "if-range") ?? lastModified;
	const ranges = condition === lastModified ? requestedRanges(headerOf(request, "range"), stats.size) : [];
	if (ranges === "invalid") throw new HttpError(416, "invalid range");
	if (ranges === "unsatisfiable") {
		response.setHeader("Content-Range", `bytes */${stats.size}`);
		throw new HttpError(416, "invalid range: failed to overlap");
	}
	const [only = { start: 0, end: stats.size - 1 }, ...others] = ranges;
	if (ranges.length > 0) response.statusCode = 206;
	if (others.length > 0) {
		await sendSeveral({ response, handle }, multipartOf(ranges, { size: stats.size, type }));
		return;
	}
	if (ranges.length > 0) response.setHeader("Content-Range", rangeOf(only, stats.size));
	response.setHeader("Content-Length", lengthOf(only));
	await pipeline(readRange(handle, only), response);
}

interface Sending {
	readonly response: ServerResponse;
	readonly handle: FileHandle;
}

async function sendSeveral({ response, handle }: Sending, { boundary, parts, tail, length }: Multipart): Promise<void> {
	response.setHeader("Content-Type", `multipart/byteranges; boundary=${boundary}`);
	response.setHeader("Content-Length", length);
	async function* body(): AsyncGenerator<Buffer | string> {
		for (const { head, range } of parts) {
			yield head;
			yield* readRange(handle, range);
		}
		yield tail;
	}
	await pipeline(body, response);
}

/** Fails when the file became shorter while it was read: the connection must break, not look complete. */
async function* readRange(handle: FileHandle, range: Range): AsyncGenerator<Buffer> {
	let length = 0;
	for await (const chunk of handle.createReadStream({ ...range, highWaterMark: READ_SIZE, autoClose: false })) {
		const data: Buffer = chunk;
		length += data.length;
		yield data;
	}
	if (length !== lengthOf(range)) throw new Error(`the file ended after ${length} of ${lengthOf(range)} bytes`);
}

function read(handle: FileHandle): Readable {
	return handle.createReadStream({ highWaterMark: READ_SIZE, autoClose: false });
}
