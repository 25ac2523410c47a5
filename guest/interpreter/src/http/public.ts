/** The server that clients reach: health, executions and contexts. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AgentClient, AgentUnavailable } from "../agent.ts";
import type { Context } from "../contexts/context.ts";
import type { ContextRegistry } from "../contexts/registry.ts";
import { KernelUnavailable } from "../kernels/kernel.ts";
import { ExecutionStream } from "./execution-stream.ts";
import { type ExecuteRequest, HttpError, readCreateContextRequest, readExecuteRequest } from "./requests.ts";
import { allowAnyOrigin, sendError, sendFailure, sendJson, sendText } from "./responses.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Context calls carry no token, so anybody who knows the sandbox's address can make them: keep them slow enough. */
const CONTEXT_CALLS = { capacity: 60, perSecond: 5 };

/** Proxies keep connections open between requests; closing first would race with their next one. */
const KEEP_ALIVE_MS = 640_000;

export interface PublicServerOptions {
	readonly registry: ContextRegistry;
	readonly agent: AgentClient;
	/** True once the contexts that every sandbox starts with are up. */
	readonly healthy: () => boolean;
}

type Handler = (request: IncomingMessage, response: ServerResponse, id: string) => Promise<void> | void;

interface Route {
	readonly path: RegExp;
	readonly methods: Readonly<Record<string, Handler>>;
}

export function createPublicServer({ registry, agent, healthy }: PublicServerOptions): Server {
	const contextCalls = new TokenBucket(CONTEXT_CALLS);
	const limited =
		(handler: Handler): Handler =>
		(request, response, id) => {
			if (!contextCalls.take()) throw new HttpError(429, "Too many context calls, try again in a second");
			return handler(request, response, id);
		};

	const routes: readonly Route[] = [
		{ path: /^\/health$/, methods: { GET: (_request, response) => sendHealth(response, healthy()) } },
		{ path: /^\/execute$/, methods: { POST: (request, response) => execute(request, response, { registry, agent }) } },
		{
			path: /^\/contexts$/,
			methods: {
				GET: limited((_request, response) => sendJson(response, 200, registry.list())),
				POST: limited((request, response) => createContext(request, response, registry)),
			},
		},
		{
			path: /^\/contexts\/([^/]+)$/,
			methods: {
				DELETE: limited(async (_request, response, id) => {
					if (!(await registry.remove(id))) throw contextNotFound(id);
					sendJson(response, 200, null);
				}),
			},
		},
		{
			path: /^\/contexts\/([^/]+)\/restart$/,
			methods: {
				POST: limited(async (_request, response, id) => {
					await requireContext(registry, id).restart();
					sendJson(response, 200, null);
				}),
			},
		},
	];

	const server = createServer((request, response) => {
		dispatch(routes, request, response).catch((error: unknown) => answerError(response, error));
	});
	server.keepAliveTimeout = KEEP_ALIVE_MS;
	return server;
}

async function dispatch(routes: readonly Route[], request: IncomingMessage, response: ServerResponse): Promise<void> {
	allowAnyOrigin(response);
	if (request.method === "OPTIONS") {
		sendText(response, 200, "OK");
		return;
	}
	const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
	for (const route of routes) {
		const match = route.path.exec(path);
		if (!match) continue;
		const handler = route.methods[request.method ?? ""];
		if (!handler) throw new HttpError(405, { detail: "Method Not Allowed" });
		return handler(request, response, match[1] ?? "");
	}
	throw new HttpError(404, { detail: "Not Found" });
}

function sendHealth(response: ServerResponse, healthy: boolean): void {
	if (healthy) sendJson(response, 200, "OK");
	else sendText(response, 503, "The default contexts are starting");
}

async function createContext(request: IncomingMessage, response: ServerResponse, registry: ContextRegistry): Promise<void> {
	const { id, language, cwd } = await registry.create(await readCreateContextRequest(request));
	sendJson(response, 200, { id, language, cwd });
}

async function execute(
	request: IncomingMessage,
	response: ServerResponse,
	{ registry, agent }: Pick<PublicServerOptions, "registry" | "agent">,
): Promise<void> {
	// A shared address of the sandbox must not be a root shell: the token is checked before anything else is read.
	const token = request.headers["x-access-token"];
	const answer = await agent.authorize(typeof token === "string" ? token : undefined, AbortSignal.timeout(30_000));
	if (!answer.allowed) {
		throw new HttpError(401, { code: 401, message: "unauthorized access, please provide a valid access token" });
	}
	const body = await readExecuteRequest(request);
	const context = await targetContext(registry, body);
	const stream = new ExecutionStream(response);
	const execution = { code: body.code, environment: body.environment, globalEnvironment: answer.environment };
	try {
		await context.execute(execution, (event) => stream.emit(event), stream.clientGone);
	} catch (error) {
		if (!stream.clientGone.aborted) throw error;
	} finally {
		stream.end();
	}
}

async function targetContext(registry: ContextRegistry, { contextId, language }: ExecuteRequest): Promise<Context> {
	return contextId === undefined ? registry.default(language) : requireContext(registry, contextId);
}

function requireContext(registry: ContextRegistry, id: string): Context {
	const context = registry.get(id);
	if (!context) throw contextNotFound(id);
	return context;
}

function contextNotFound(id: string): HttpError {
	return new HttpError(404, `Context ${id} not found`);
}

function answerError(response: ServerResponse, error: unknown): void {
	// Of a client that went away there is nothing to tell.
	if (response.headersSent || response.destroyed) {
		response.destroy();
	} else if (error instanceof HttpError) {
		sendError(response, error);
	} else if (error instanceof AgentUnavailable) {
		sendFailure(response, 503, error.message);
	} else if (error instanceof KernelUnavailable) {
		sendFailure(response, 500, error.message);
	} else {
		console.error(error);
		sendFailure(response, 500, "Internal error of the code interpreter");
	}
}
