/** The file endpoints. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { checkToken } from "../auth.ts";
import { readBody, sendJson } from "../http.ts";
import type { Identity } from "../session.ts";
import type { Sysd } from "../sysd/sysd.ts";
import type { Users } from "../users.ts";
import { compose, parseCompose } from "./compose.ts";
import { download } from "./download.ts";
import { findUser, headerOf, openFileRequest, resolveFor } from "./request.ts";
import { upload } from "./upload.ts";
import { writtenFile } from "./write.ts";

/** bytes of a list of paths */
const MAX_COMPOSE_BODY = 1024 * 1024;

export interface FileRoutes {
	read(request: IncomingMessage, response: ServerResponse, query: URLSearchParams, identity: Identity): Promise<void>;
	write(request: IncomingMessage, response: ServerResponse, query: URLSearchParams, identity: Identity): Promise<void>;
	compose(request: IncomingMessage, response: ServerResponse, identity: Identity): Promise<void>;
}

export function fileRoutes(sysd: Sysd, users: Users): FileRoutes {
	return {
		read: (request, response, query, identity) =>
			download(openFileRequest("read", { request, response, query }, identity, users)),
		async write(request, response, query, identity) {
			const file = openFileRequest("write", { request, response, query }, identity, users);
			sendJson(response, 200, await upload(file, sysd));
		},
		async compose(request, response, identity) {
			checkToken(identity.accessToken, headerOf(request, "x-access-token"));
			const { sources, destination, username } = parseCompose((await readBody(request, MAX_COMPOSE_BODY)).toString());
			const user = findUser(username, identity, users);
			const target = resolveFor(destination, user, identity);
			await compose(
				sources.map((path) => resolveFor(path, user, identity)),
				target,
				user,
			);
			const [metadata = {}] = await sysd.attributes([target]);
			sendJson(response, 200, writtenFile(target, metadata));
		},
	};
}
