/**
 * Serves Connect RPCs on Node's HTTP server. Connect's own adapter would do, but brings compression along, which these
 * clients never want and which costs every sandbox memory.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import {
	Code,
	ConnectError,
	type ConnectRouter,
	createConnectRouter,
	createContextValues,
	type Interceptor,
} from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { HttpError } from "../errors.ts";
import { log } from "../log.ts";
import type { Identity } from "../session.ts";
import { identityKey, rpcError } from "./context.ts";

/** bytes of one message: input to a process, the largest, is sent in one piece */
const MAX_MESSAGE = 64 * 1024 * 1024;

export type RpcHandler = (path: string, request: IncomingMessage, response: ServerResponse, identity: Identity) => Promise<void>;

/** The handler throws HttpError for what is no RPC: 404 for other paths, 400 for a request without a proper Host. */
export function createRpcHandler(routes: (router: ConnectRouter) => void): RpcHandler {
	const router = createConnectRouter({
		grpc: false,
		grpcWeb: false,
		acceptCompression: [],
		readMaxBytes: MAX_MESSAGE,
		jsonOptions: { ignoreUnknownFields: true },
		interceptors: [translateErrors],
	});
	routes(router);
	const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
	return async (path, request, response, identity) => {
		const handler = handlers.get(path);
		if (handler === undefined) throw new HttpError(404, "page not found");
		const { host } = request.headers;
		if (host === undefined) throw new HttpError(400, "missing required Host header");
		if (!URL.canParse(request.url ?? "", `http://${host}`)) throw new HttpError(400, "malformed Host header");
		const values = createContextValues().set(identityKey, identity);
		const answer = await handler(universalRequestFromNodeRequest(request, response, undefined, values));
		await universalResponseToNodeResponse(answer, response).catch((error: unknown) => {
			// The client went away; its stream ended with it.
			if (ConnectError.from(error).code !== Code.Aborted) throw error;
		});
	};
}

/** Unary methods throw what the kernel said; clients get its RPC code. */
const translateErrors: Interceptor = (next) => async (request) => {
	try {
		return await next(request);
	} catch (error) {
		// Nobody is left to read of it, and it is no failure.
		if (request.signal.aborted) throw error;
		const translated = rpcError(error);
		if (translated !== error && translated.code === Code.Internal) log(`${request.method.name} failed`, error);
		throw translated;
	}
};
