/** What the file endpoints take from a request: who acts on which path. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { checkSignedAccess } from "../auth.ts";
import { HttpError } from "../errors.ts";
import { PathError, resolvePath } from "../paths.ts";
import type { Identity } from "../session.ts";
import type { User, Users } from "../users.ts";

export interface FileRequest {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly query: URLSearchParams;
	readonly user: User;
	/** Absolute path for one given by the client. @throws HttpError 400 */
	resolve(path: string): string;
}

/** @throws HttpError 401 for a bad token, a bad signature or an unknown user */
export function openFileRequest(
	operation: "read" | "write",
	{ request, response, query }: Pick<FileRequest, "request" | "response" | "query">,
	identity: Identity,
	users: Users,
): FileRequest {
	const now = Math.floor(Date.now() / 1000);
	checkSignedAccess(identity.accessToken, { operation, header: headerOf(request, "x-access-token"), query, now });
	const user = findUser(query.get("username"), identity, users);
	return { request, response, query, user, resolve: (path) => resolveFor(path, user, identity) };
}

export function findUser(given: string | null, identity: Identity, users: Users): User {
	const name = given || identity.defaultUser;
	const user = users.find(name);
	if (user === undefined) throw new HttpError(401, `error looking up user '${name}': user: unknown user ${name}`);
	return user;
}

export function resolveFor(path: string, user: User, identity: Identity): string {
	try {
		return resolvePath(path, user, identity.defaultWorkdir);
	} catch (error) {
		if (error instanceof PathError) throw new HttpError(400, error.message);
		throw error;
	}
}

export function headerOf(request: IncomingMessage, name: string): string | undefined {
	const value = request.headers[name];
	return Array.isArray(value) ? value.join(", ") : value;
}
