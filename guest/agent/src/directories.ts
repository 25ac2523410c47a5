import { chown, mkdir, stat } from "node:fs/promises";
import { posix } from "node:path";
import { errnoOf } from "./errors.ts";
import type { User } from "./users.ts";

/** A link that leads nowhere, mostly: it has the name, and what it names cannot be made through it. */
class NotADirectoryError extends Error {
	override readonly name = "NotADirectoryError";
	readonly code = "ENOTDIR";

	constructor(path: string) {
		super(`path exists, but it is not a directory: ${path}`);
	}
}

/** Makes `path` and what is missing above it; each new level is 0755 and the user's. @throws errno errors */
export async function makeDirectories(path: string, user: User): Promise<void> {
	const missing: string[] = [];
	for (let at = path; !(await exists(at)); at = posix.dirname(at)) missing.unshift(at);
	for (const directory of missing) {
		try {
			await mkdir(directory, 0o755);
		} catch (error) {
			if (errnoOf(error) !== "EEXIST") throw error;
			// Another request made it meanwhile.
			if (await isDirectory(directory)) continue;
			throw new NotADirectoryError(directory);
		}
		await chown(directory, user.uid, user.gid);
	}
}

async function exists(path: string): Promise<boolean> {
	try {
		await stat(path);
		return true;
	} catch (error) {
		if (errnoOf(error) === "ENOENT") return false;
		throw error;
	}
}

async function isDirectory(path: string): Promise<boolean> {
	const stats = await stat(path).catch(() => undefined);
	return stats?.isDirectory() ?? false;
}
