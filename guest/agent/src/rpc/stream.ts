/**
 * A short way for server-streaming methods. Connect's handler takes a message through a dozen iterators, which is 2 ms
 * of every command; here a request as clients usually make it has the same answer in one loop. Whatever is unusual is
 * not taken, so that Connect's handler alone refuses and explains.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { create, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextValues, type HandlerContext, type MethodImplSpec } from "@connectrpc/connect";
import { createMethodSerializationLookup, encodeEnvelope } from "@connectrpc/connect/protocol";
import {
	contentTypeStreamJson,
	contentTypeStreamProto,
	createEndStreamSerialization,
	endStreamFlag,
	headerStreamEncoding,
} from "@connectrpc/connect/protocol-connect";
import type { Identity } from "../session.ts";
import { identityKey } from "./context.ts";
import { TIMEOUT } from "./timeout.ts";

export type StreamingMethod = Extract<MethodImplSpec, { kind: "server_streaming" }>;

const ENCODING = headerStreamEncoding.toLowerCase();
/** bytes */
const USUAL_BODY = 64 * 1024;
const ENVELOPE_HEAD = 5;
/** ms without a sign, and surely few enough for a timer */
const USUAL_TIMEOUT = /^[1-9]\d{0,8}$/;

export interface StreamOptions {
	readonly limits: {
		/** bytes of one message */
		readonly readMaxBytes: number;
		readonly writeMaxBytes: number;
	};
	/** Throws for a request that must not reach its method. */
	readonly requestGate: (context: HandlerContext) => void;
}

/** True if the header fields are those of a usual request. */
export function looksUsual({ method, headers }: IncomingMessage): boolean {
	const type = headers["content-type"];
	const encoding = headers[ENCODING] ?? "identity";
	const length = Number(headers["content-length"]);
	return (
		method === "POST" &&
		(type === contentTypeStreamJson || type === contentTypeStreamProto) &&
		encoding === "identity" &&
		length >= ENVELOPE_HEAD &&
		length <= USUAL_BODY &&
		USUAL_TIMEOUT.test(String(headers[TIMEOUT] ?? 1))
	);
}

export class ShortStream {
	private readonly spec: StreamingMethod;
	private readonly requestGate: StreamOptions["requestGate"];
	private readonly formats: ReturnType<typeof createMethodSerializationLookup>;
	private readonly endings = createEndStreamSerialization({});

	constructor(spec: StreamingMethod, { limits, requestGate }: StreamOptions) {
		this.spec = spec;
		this.requestGate = requestGate;
		this.formats = createMethodSerializationLookup(spec.method, undefined, { ignoreUnknownFields: true }, limits);
	}

	/**
	 * Answers a request that looks usual; resolves when the answer has ended, or the client has gone. What was read of
	 * one that is not usual after all is given back.
	 * @throws Error when the client leaves before its request is complete
	 */
	async serve(request: IncomingMessage, response: ServerResponse, identity: Identity): Promise<"served" | Buffer> {
		const body = await readAll(request);
		const binary = request.headers["content-type"] === contentTypeStreamProto;
		const input = this.parse(body, binary);
		if (input === undefined) return body;
		response.writeHead(200, { "Content-Type": binary ? contentTypeStreamProto : contentTypeStreamJson });
		const call = new Call(this.spec, request, response, identity);
		const error = await this.sendMessages(call, input, binary);
		const ending = this.endings.serialize({ metadata: new Headers(), ...(error === undefined ? {} : { error }) });
		if (!response.destroyed) response.end(encodeEnvelope(endStreamFlag, ending));
		return "served";
	}

	/** Undefined unless `body` is one complete envelope with a message in it. */
	private parse(body: Buffer, binary: boolean): Message | undefined {
		if (body.readUInt8(0) !== 0 || body.readUInt32BE(1) !== body.length - ENVELOPE_HEAD) return undefined;
		try {
			return this.formats.getI(binary).parse(body.subarray(ENVELOPE_HEAD));
		} catch {
			return undefined;
		}
	}

	/** Resolves to what the stream shall end with. */
	private async sendMessages(call: Call, input: Message, binary: boolean): Promise<ConnectError | undefined> {
		const { impl, method } = this.spec;
		const format = this.formats.getO(binary);
		try {
			this.requestGate(call.context);
			for await (const message of impl(input, call.context)) {
				await write(call.response, encodeEnvelope(0, format.serialize(create(method.output, message))));
			}
			return undefined;
		} catch (error) {
			if (error instanceof ConnectError) return error;
			return new ConnectError("internal error", Code.Internal, undefined, undefined, error);
		} finally {
			call.close();
		}
	}
}

/** One request, whose signal is aborted when its time is over or its client has gone. */
class Call {
	readonly response: ServerResponse;
	readonly context: HandlerContext;
	private readonly controller = new AbortController();
	private readonly timer: NodeJS.Timeout | undefined;
	private readonly leave = () => this.controller.abort();

	constructor({ method }: StreamingMethod, request: IncomingMessage, response: ServerResponse, identity: Identity) {
		const { headers } = request;
		const limit = headers[TIMEOUT] === undefined ? undefined : Number(headers[TIMEOUT]);
		const end = limit === undefined ? undefined : Date.now() + limit;
		if (limit !== undefined) this.timer = setTimeout(() => this.controller.abort(overdue()), limit);
		this.response = response;
		response.once("close", this.leave);
		// A connection that breaks is told of by "close", which follows.
		response.on("error", () => undefined);
		this.context = {
			method,
			service: method.parent,
			signal: this.controller.signal,
			timeoutMs: () => (end === undefined ? undefined : end - Date.now()),
			requestMethod: "POST",
			requestHeader: new Headers(Object.entries(headers).map(([name, value]) => [name, String(value)])),
			responseHeader: new Headers(),
			responseTrailer: new Headers(),
			protocolName: "connect",
			values: createContextValues().set(identityKey, identity),
			url: `http://${headers.host}${request.url}`,
		};
	}

	close(): void {
		clearTimeout(this.timer);
		this.response.off("close", this.leave);
	}
}

function overdue(): ConnectError {
	return new ConnectError("the operation timed out", Code.DeadlineExceeded);
}

function readAll(request: IncomingMessage): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		const chunks: Buffer[] = [];
		request.on("data", (chunk: Buffer) => chunks.push(chunk));
		request.once("end", () => resolve(Buffer.concat(chunks)));
		request.once("error", reject);
	});
}

/** Resolves when the response takes more, or never will. */
async function write(response: ServerResponse, data: Uint8Array): Promise<void> {
	if (response.destroyed || response.write(data)) return;
	await new Promise<void>((resolve) => {
		const done = () => {
			response.off("drain", done);
			response.off("close", done);
			resolve();
		};
		response.once("drain", done);
		response.once("close", done);
	});
}
