/**
 * The server that clients reach through the edge. While the session is locked it answers nothing but `GET /health`;
 * otherwise every request needs the sandbox's token, except where a signature may stand for it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Filesystem } from "../../../src/protocol/gen/filesystem_pb.js";
import { Process } from "../../../src/protocol/gen/process_pb.js";
import { isPreflight } from "../../../src/protocol/index.ts";
import { checkToken } from "./auth.ts";
import type { InterpreterSeed } from "./control/reseed.ts";
import { allowOrigin, answerPreflight } from "./cors.ts";
import { HttpError, messageOf } from "./errors.ts";
import { headerOf } from "./files/request.ts";
import { fileRoutes } from "./files/route.ts";
import { filesystemService } from "./filesystem/service.ts";
import { sendError, sendJson } from "./http.ts";
import { log } from "./log.ts";
import { MetricsReader } from "./metrics.ts";
import type { ProcessRegistry } from "./process/registry.ts";
import { processService } from "./process/service.ts";
import { createRpcHandler } from "./rpc/handler.ts";
import type { Identity, Session } from "./session.ts";
import type { Sysd } from "./sysd/sysd.ts";
import type { Users } from "./users.ts";

export interface ServerParts {
	readonly session: Session;
	readonly sysd: Sysd;
	readonly users: Users;
	readonly processes: ProcessRegistry;
	readonly seed: InterpreterSeed;
}

type Handler = (
	request: IncomingMessage,
	response: ServerResponse,
	query: URLSearchParams,
	identity: Identity,
) => Promise<void> | void;

/** Handlers by method and path. The paths of the RPC services are all the others. */
export function createAgentServer(parts: ServerParts): Server {
	const { sysd, users, processes } = parts;
	const rpc = createRpcHandler(users, (add) => {
		add(Process, processService(processes, users));
		add(Filesystem, filesystemService({ sysd, users }));
	});
	const routes = restRoutes(parts);
	const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
		allowOrigin(response);
		const [path = "", query = ""] = splitUrl(request.url ?? "");
		if (path === "/health" && isRead(request.method)) {
			response.writeHead(204, { "Cache-Control": "no-store" }).end();
			return;
		}
		const { identity } = parts.session;
		if (identity === undefined) throw new HttpError(503, "the sandbox is not initialised");
		if (isPreflight(request)) {
			answerPreflight(request, response);
			return;
		}
		const route = routes.get(`${request.method === "HEAD" ? "GET" : request.method} ${path}`);
		if (route !== undefined) {
			await route(request, response, new URLSearchParams(query), identity);
			return;
		}
		checkToken(identity.accessToken, headerOf(request, "x-access-token"));
		await rpc(path, request, response, identity);
	};
	const server = createServer({ requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
		handle(request, response).catch((error: unknown) => {
			fail(response, error);
			// The rest of the body must be taken, or the connection's next request is never seen.
			request.resume();
		});
	});
	return server;
}

/** Longer than the edge keeps idle connections, so that it is never surprised by one closing. Source: E2B wire protocol, 610 s. */
const KEEP_ALIVE_MS = 640_000;

function splitUrl(url: string): [path: string, query: string] {
	const at = url.indexOf("?");
	return at < 0 ? [url, ""] : [url.slice(0, at), url.slice(at + 1)];
}

function isRead(method: string | undefined): boolean {
	return method === "GET" || method === "HEAD";
}

function fail(response: ServerResponse, error: unknown): void {
	if (response.destroyed) return;
	if (error instanceof HttpError) {
		if (error.status >= 500 && error.cause !== undefined) log(error.message, error.cause);
		sendError(response, error.status, error.message);
		return;
	}
	log("request failed", error);
	sendError(response, 500, messageOf(error));
}

function restRoutes({ session, sysd, users, seed }: ServerParts): ReadonlyMap<string, Handler> {
	const files = fileRoutes(sysd, users);
	const metrics = new MetricsReader();
	const withToken =
		(handler: (response: ServerResponse, identity: Identity) => Promise<void> | void): Handler =>
		(request, response, _query, identity) => {
			checkToken(identity.accessToken, headerOf(request, "x-access-token"));
			return handler(response, identity);
		};
	/** What the interpreter asks before each cell: not before its kernels have random state of their own. */
	const sendEnvironment = async (response: ServerResponse, identity: Identity): Promise<void> => {
		await seed.requireTaken();
		if (session.identity !== identity) throw new HttpError(503, "the sandbox became another one meanwhile");
		sendJson(response, 200, identity.envs);
	};
	return new Map<string, Handler>([
		["GET /envs", withToken(sendEnvironment)],
		["GET /metrics", withToken(async (response) => sendJson(response, 200, await metrics.read()))],
		["GET /files", (request, response, query, identity) => files.read(request, response, query, identity)],
		["POST /files", (request, response, query, identity) => files.write(request, response, query, identity)],
		["POST /files/compose", (request, response, _query, identity) => files.compose(request, response, identity)],
	]);
}
