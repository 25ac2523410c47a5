/** How a path of a request becomes an absolute one. Source: E2B wire protocol. */
import { posix } from "node:path";
import type { User } from "./users.ts";

export class PathError extends Error {
	override readonly name = "PathError";
}

/**
 * Empty: the working directory; `~` and `~/…`: the home; relative: from the home. The result is cleaned.
 * @throws PathError for `~other` and paths with a NUL
 */
export function resolvePath(path: string, user: User, defaultWorkdir: string | undefined): string {
	if (path.includes("\0")) throw new PathError("path contains a NUL character");
	if (path === "") return posix.resolve("/", defaultWorkdir === undefined ? user.home : expandHome(defaultWorkdir, user));
	return posix.resolve("/", user.home, expandHome(path, user));
}

function expandHome(path: string, user: User): string {
	if (!path.startsWith("~")) return path;
	if (path !== "~" && !path.startsWith("~/")) throw new PathError(`cannot expand '${path}': only ~ and ~/ are supported`);
	return posix.join("/", user.home, path.slice(1));
}
