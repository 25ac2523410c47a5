/** Writes one uploaded file as it comes in, holding no more than a chunk of it. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { posix } from "node:path";
import type { Readable } from "node:stream";
import { makeDirectories } from "../directories.ts";
import { errnoOf, fileError, HttpError } from "../errors.ts";
import { SysdError } from "../sysd/errno.ts";
import type { Sysd } from "../sysd/sysd.ts";
import type { User } from "../users.ts";

export interface WrittenFile {
	readonly name: string;
	readonly path: string;
	readonly type: "file";
	readonly metadata?: Readonly<Record<string, string>>;
}

export interface WriteTarget {
	/** Absolute path. */
	readonly path: string;
	readonly user: User;
	readonly metadata: Readonly<Record<string, string>>;
}

const { O_WRONLY, O_CREAT, O_TRUNC, O_NONBLOCK, O_NOCTTY } = constants;

/** Leaves `source` undestroyed, so that the request can still be answered when this fails. @throws HttpError */
export async function writeFile(source: Readable, target: WriteTarget, sysd: Sysd): Promise<WrittenFile> {
	const { path, user, metadata } = target;
	try {
		await using handle = await openForWriting(path, user);
		await copy(source, handle);
		await setMetadata(target, sysd);
	} catch (error) {
		throw fileError(error, path);
	}
	return writtenFile(path, metadata);
}

/** What is told of a file that was written: nothing more, and metadata only if there is some. */
export function writtenFile(path: string, metadata: Readonly<Record<string, string>>): WrittenFile {
	const named = { name: posix.basename(path), path, type: "file" } as const;
	return Object.keys(metadata).length === 0 ? named : { ...named, metadata };
}

async function openForWriting(path: string, user: User): Promise<FileHandle> {
	// Without NONBLOCK the open of a named pipe waits for a reader, in one of few threads.
	const flags = O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY;
	const handle = await open(path, flags, 0o644).catch(async (error: unknown) => {
		if (errnoOf(error) !== "ENOENT") throw error;
		await makeDirectories(posix.dirname(path), user);
		return await open(path, flags, 0o644);
	});
	try {
		if (!(await handle.stat()).isFile()) throw new HttpError(400, `path '${path}' is not a regular file`);
		await handle.chown(user.uid, user.gid);
		return handle;
	} catch (error) {
		await handle.close();
		throw error;
	}
}

async function copy(source: Readable, handle: FileHandle): Promise<void> {
	for await (const chunk of source.iterator({ destroyOnReturn: false })) {
		const data: Buffer = chunk;
		let at = 0;
		while (at < data.length) at += (await handle.write(data, at)).bytesWritten;
	}
}

/** Every upload replaces all metadata, so one without any clears it. */
async function setMetadata({ path, metadata }: WriteTarget, sysd: Sysd): Promise<void> {
	try {
		await sysd.setAttributes(path, metadata);
	} catch (error) {
		const unsupported = error instanceof SysdError && (error.code === "ENOTSUP" || error.code === "EOPNOTSUPP");
		if (unsupported) throw new HttpError(400, `the file system of '${path}' cannot hold metadata`);
		throw error;
	}
}
