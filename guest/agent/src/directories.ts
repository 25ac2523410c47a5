import { chown, mkdir, stat } from "node:fs/promises";
import { posix } from "node:path";
import { errnoOf } from "./errors.ts";
import type { User } from "./users.ts";

/** Makes `path` and what is missing above it; each new level is 0755 and the user's. @throws errno errors */
export async function makeDirectories(path: string, user: User): Promise<void> {
	const missing: string[] = [];
	for (let at = path; !(await exists(at)); at = posix.dirname(at)) missing.unshift(at);
	for (const directory of missing) {
		try {
			await mkdir(directory, 0o755);
		} catch (error) {
			// Another request made it meanwhile.
			if (errnoOf(error) === "EEXIST") continue;
			throw error;
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
