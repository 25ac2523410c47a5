/**
 * Digest of a directory tree: equal trees have equal digests on every machine. It covers what a guest can see of a
 * root filesystem (names, types, modes, owners, sizes, link targets, device numbers, contents) and nothing that
 * copying changes (times, inode numbers, the number of hard links).
 */
import { createHash } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { lstat, open, readdir, readlink } from "node:fs/promises";

/** Files read at a time. */
const PARALLEL = 16;
const CHUNK_BYTES = 1 << 20;
const SLASH = Buffer.from("/");

interface Entry {
	/** Relative to the root, as bytes: file names need not be valid UTF-8. */
	readonly name: Buffer;
	readonly stats: Stats;
}

/** Hex SHA-256 over the tree below and including `path`. Throws the signal's reason when aborted. */
export async function treeDigest(path: string, signal: AbortSignal): Promise<string> {
	const root = Buffer.from(path);
	const entries = await walk(root, signal);
	const contents = await describeContents(root, entries, signal);
	const digest = createHash("sha256");
	for (const [index, { name, stats }] of entries.entries()) {
		// Lengths come first, so that no name or content can pass for the end of a record.
		const facts = `${stats.mode}:${stats.uid}:${stats.gid}:${sizeOf(stats)}:${deviceOf(stats)}:${contents[index]}`;
		digest.update(`${name.length}:${facts.length}:`).update(name).update(facts);
	}
	return digest.digest("hex");
}

async function walk(root: Buffer, signal: AbortSignal): Promise<readonly Entry[]> {
	const entries: Entry[] = [{ name: Buffer.alloc(0), stats: await lstat(root) }];
	// The list grows while it is read: each directory appends its children.
	for (const entry of entries) {
		signal.throwIfAborted();
		if (!entry.stats.isDirectory()) continue;
		const names = await readdir(join(root, entry.name), { encoding: "buffer" });
		const children = await Promise.all(
			names.sort(Buffer.compare).map(async (child) => {
				const name = join(entry.name, child);
				return { name, stats: await lstat(join(root, name)) };
			}),
		);
		entries.push(...children);
	}
	return entries;
}

async function describeContents(root: Buffer, entries: readonly Entry[], signal: AbortSignal): Promise<readonly string[]> {
	const contents = new Array<string>(entries.length).fill("");
	const queue = entries.entries();
	const worker = async (): Promise<void> => {
		const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
		for (const [index, { name, stats }] of queue) {
			signal.throwIfAborted();
			if (stats.isFile()) contents[index] = await hashFile(join(root, name), buffer);
			else if (stats.isSymbolicLink()) contents[index] = await linkTarget(join(root, name));
		}
	};
	await Promise.all(Array.from({ length: PARALLEL }, worker));
	return contents;
}

async function hashFile(path: Buffer, buffer: Buffer): Promise<string> {
	const hash = createHash("sha256");
	await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
	for (;;) {
		const { bytesRead } = await file.read(buffer, 0, buffer.length);
		if (bytesRead === 0) return hash.digest("hex");
		hash.update(buffer.subarray(0, bytesRead));
	}
}

async function linkTarget(path: Buffer): Promise<string> {
	return (await readlink(path, { encoding: "buffer" })).toString("hex");
}

/** The size of a directory depends on the filesystem below, not on what is in it. */
function sizeOf(stats: Stats): number {
	return stats.isDirectory() ? 0 : stats.size;
}

function deviceOf(stats: Stats): number {
	return stats.isBlockDevice() || stats.isCharacterDevice() ? stats.rdev : 0;
}

function join(directory: Buffer, name: Buffer): Buffer {
	return directory.length === 0 ? name : Buffer.concat([directory, SLASH, name]);
}
