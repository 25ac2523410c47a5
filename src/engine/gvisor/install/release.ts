/** Brings a gVisor release: the tarball is used only if it matches the checksum published beside it. */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { OffshootError } from "../../../protocol/index.ts";
import { run } from "../../command.ts";

const TARBALL = "gvisor.tar.bz2";
/** ms for the small checksum file: an unreachable server is noticed by it, before anything else is tried. */
const REACH_TIMEOUT_MS = 10_000;
/** ms without a single byte before a download counts as dead. */
const STALL_TIMEOUT_MS = 30_000;

/** No release could be had from this address; another way may still work. */
export class ReleaseUnavailable extends Error {
	override readonly name = "ReleaseUnavailable";
}

/** Directory of gVisor's own bucket that always holds the newest release for this processor. */
export function defaultReleaseUrl(): string {
	const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
	return `https://storage.googleapis.com/gvisor/releases/release/latest/${arch}`;
}

/**
 * Unpacks the release at `baseUrl` into `dir`: `runsc` and what belongs beside it.
 * @throws ReleaseUnavailable when it cannot be had
 * @throws OffshootError internal when it does not match its checksum
 */
export async function downloadRelease(
	baseUrl: string,
	dir: string,
	onProgress: (message: string) => void,
	signal: AbortSignal,
): Promise<void> {
	const url = `${baseUrl.replace(/\/+$/, "")}/${TARBALL}`;
	const expected = await fetchChecksum(`${url}.sha512`, signal);
	const tarball = join(dir, TARBALL);
	const actual = await fetchTarball(url, tarball, onProgress, signal);
	if (actual !== expected) {
		throw new OffshootError(
			"internal",
			`${url} does not match the checksum published beside it, so it was not used. FIX: try again; if it stays so, do not trust that address`,
		);
	}
	onProgress("unpacking the release");
	await run("tar", ["-xjf", tarball, "-C", dir, "--no-same-owner"], { signal });
	await rm(tarball);
	await liftSingleDirectory(dir);
}

async function fetchChecksum(url: string, signal: AbortSignal): Promise<string> {
	const response = await request(url, AbortSignal.any([signal, AbortSignal.timeout(REACH_TIMEOUT_MS)]), signal);
	const digest = /^[0-9a-f]{128}(?=\s|$)/i.exec((await response.text()).trim())?.[0];
	if (digest === undefined) throw new ReleaseUnavailable(`${url} holds no SHA-512 checksum`);
	return digest.toLowerCase();
}

async function fetchTarball(
	url: string,
	file: string,
	onProgress: (message: string) => void,
	signal: AbortSignal,
): Promise<string> {
	const stalled = new AbortController();
	const watch = setTimeout(() => stalled.abort(), STALL_TIMEOUT_MS);
	const combined = AbortSignal.any([signal, stalled.signal]);
	const hash = createHash("sha512");
	let received = 0;
	try {
		const response = await request(url, combined, signal);
		const total = Number(response.headers.get("content-length") ?? 0);
		const meter = new Transform({
			transform(chunk: Buffer, _encoding, done) {
				watch.refresh();
				hash.update(chunk);
				received += chunk.length;
				onProgress(`downloading the release: ${describeAmount(received, total)}`);
				done(null, chunk);
			},
		});
		if (response.body === null) throw new ReleaseUnavailable(`${url} is empty`);
		const body: ReadableStream<Uint8Array> = response.body;
		await pipeline(Readable.fromWeb(body), meter, createWriteStream(file), { signal: combined });
	} catch (error) {
		signal.throwIfAborted();
		if (error instanceof ReleaseUnavailable) throw error;
		throw new ReleaseUnavailable(`${url} broke off after ${describeAmount(received, 0)}: ${reason(error)}`, { cause: error });
	} finally {
		clearTimeout(watch);
	}
	return hash.digest("hex");
}

async function request(url: string, signal: AbortSignal, userSignal: AbortSignal): Promise<Response> {
	const response = await fetch(url, { signal }).catch((error: unknown) => {
		userSignal.throwIfAborted();
		throw new ReleaseUnavailable(`${url} cannot be reached: ${reason(error)}`, { cause: error });
	});
	if (response.ok) return response;
	await response.body?.cancel();
	throw new ReleaseUnavailable(`${url} answered ${response.status}`);
}

/** Tarballs differ in whether they hold the files or one directory with the files: afterwards `dir` holds the files. */
async function liftSingleDirectory(dir: string): Promise<void> {
	const entries = await readdir(dir, { withFileTypes: true });
	const only = entries[0];
	if (entries.length !== 1 || only === undefined || !only.isDirectory()) return;
	const inner = join(dir, only.name);
	for (const name of await readdir(inner)) await rename(join(inner, name), join(dir, name));
	await rm(inner, { recursive: true });
}

function describeAmount(received: number, total: number): string {
	const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
	return total > 0 ? `${megabytes(received)} of ${megabytes(total)}` : megabytes(received);
}

function reason(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	return error.cause instanceof Error ? error.cause.message : error.message;
}
