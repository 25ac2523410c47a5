/** POST /files/compose: joins files of the sandbox into one and removes them. */
import { constants, createReadStream, type Stats } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import { posix } from "node:path";
import { makeDirectories } from "../directories.ts";
import { fileError, HttpError } from "../errors.ts";
import type { User } from "../users.ts";

export interface ComposeRequest {
	readonly sources: readonly string[];
	readonly destination: string;
	readonly username: string | null;
}

const READ_SIZE = 256 * 1024;

/** @throws HttpError 400 naming the field */
export function parseCompose(body: string): ComposeRequest {
	const json = parseObject(body);
	const sources = json.source_paths;
	const { destination, username } = json;
	if (!Array.isArray(sources) || sources.length === 0 || !sources.every((path) => typeof path === "string")) {
		throw new HttpError(400, "source_paths must be a list with at least one path");
	}
	if (typeof destination !== "string" || destination === "") throw new HttpError(400, "destination is required");
	return { sources, destination, username: typeof username === "string" ? username : null };
}

function parseObject(body: string): Record<string, unknown> {
	try {
		const json: unknown = JSON.parse(body);
		if (typeof json === "object" && json !== null) return { ...json };
	} catch {
		// Told below, as other bodies that are no object.
	}
	throw new HttpError(400, "the body must be a JSON object");
}

/** Paths are absolute. @throws HttpError */
export async function compose(sources: readonly string[], destination: string, user: User): Promise<void> {
	const target = await stat(destination).catch(() => undefined);
	for (const source of sources) await requireSource(source, destination, target);
	try {
		await makeDirectories(posix.dirname(destination), user);
		const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NONBLOCK;
		await using target = await open(destination, flags, 0o644);
		await target.chown(user.uid, user.gid);
		for (const source of sources) {
			for await (const chunk of createReadStream(source, { highWaterMark: READ_SIZE })) await target.appendFile(chunk);
		}
	} catch (error) {
		throw fileError(error, destination);
	}
	for (const source of sources) await rm(source, { force: true });
}

/** @param target what the destination is now: emptied before the sources are read, it must be none of them under any name */
async function requireSource(source: string, destination: string, target: Stats | undefined): Promise<void> {
	const stats = await stat(source).catch((error: unknown) => {
		throw fileError(error, source);
	});
	if (source === destination || (stats.ino === target?.ino && stats.dev === target.dev)) {
		throw new HttpError(400, `source path '${source}' is the destination`);
	}
	if (!stats.isFile()) throw new HttpError(400, `source path '${source}' is not a regular file`);
}
