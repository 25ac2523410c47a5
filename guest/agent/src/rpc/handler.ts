/**
 * Serves Connect RPCs on Node's HTTP server. Connect's own adapter would do, but brings compression along, which these
 * clients never want and which costs every sandbox memory.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { DescService } from "@bufbuild/protobuf";
import {
	Code,
	ConnectError,
	createConnectRouter,
	createContextValues,
	createServiceImplSpec,
	type HandlerContext,
	type Interceptor,
	type ServiceImpl,
} from "@connectrpc/connect";
import { createAsyncIterable, type UniversalHandler } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { HttpError } from "../errors.ts";
import { log } from "../log.ts";
import type { Identity } from "../session.ts";
import type { Users } from "../users.ts";
import { identityKey, requireUser, rpcError } from "./context.ts";
import { bounded, MAX_MESSAGE, requireSize } from "./size.ts";
import { looksUsual, ShortStream } from "./stream.ts";
import { dropEndless, keepTime } from "./timeout.ts";

const LIMITS = { readMaxBytes: MAX_MESSAGE, writeMaxBytes: 2 ** 32 - 1 };

export type RpcHandler = (path: string, request: IncomingMessage, response: ServerResponse, identity: Identity) => Promise<void>;

export type AddService = <Desc extends DescService>(service: Desc, implementation: ServiceImpl<Desc>) => void;

/** The handler throws HttpError for what is no RPC: 404 for other paths, 400 for a request without a proper Host. */
export function createRpcHandler(users: Users, addServices: (add: AddService) => void): RpcHandler {
	const requestGate = (context: HandlerContext): void => {
		requireSize(context);
		requireUser(context, users);
	};
	const router = createConnectRouter({
		grpc: false,
		grpcWeb: false,
		acceptCompression: [],
		...LIMITS,
		jsonOptions: { ignoreUnknownFields: true },
		requestGate,
		interceptors: [translateErrors, keepTime],
	});
	const streams = new Map<string, ShortStream>();
	addServices((service, implementation) => {
		router.service(service, implementation);
		for (const spec of Object.values(createServiceImplSpec(service, implementation).methods)) {
			if (spec.kind !== "server_streaming") continue;
			streams.set(`/${service.typeName}/${spec.method.name}`, new ShortStream(spec, { limits: LIMITS, requestGate }));
		}
	});
	const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
	return async (path, request, response, identity) => {
		const handler = handlers.get(path);
		if (handler === undefined) throw new HttpError(404, "page not found");
		const { host } = request.headers;
		if (host === undefined) throw new HttpError(400, "missing required Host header");
		if (!URL.canParse(request.url ?? "", `http://${host}`)) throw new HttpError(400, "malformed Host header");
		dropEndless(request.headers);
		const stream = looksUsual(request) ? streams.get(path) : undefined;
		const leftOver = await stream?.serve(request, response, identity);
		if (leftOver === "served") return;
		const values = createContextValues().set(identityKey, identity);
		const asked = universalRequestFromNodeRequest(request, response, undefined, values);
		const answer = await handler({
			...asked,
			body: leftOver === undefined ? bodyOf(handler, request) : createAsyncIterable([leftOver]),
		});
		await universalResponseToNodeResponse(answer, response).catch((error: unknown) => {
			// The client went away; its stream ended with it.
			if (ConnectError.from(error).code !== Code.Aborted) throw error;
		});
	};
}

function bodyOf({ method }: UniversalHandler, request: IncomingMessage): AsyncIterable<Uint8Array> {
	const isOneOfUnknownLength = method.methodKind !== "client_streaming" && request.headers["content-length"] === undefined;
	return isOneOfUnknownLength ? bounded(request) : request;
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
