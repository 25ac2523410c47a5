/**
 * Every error as clients read it: JSON `{code, message, error_code?}` with `code` equal to the status, since clients
 * decide by the body. Guarantees that nothing a client sends becomes a 500, and that a defect's text stays in the log.
 */
import type { FastifyError, FastifyReply, FastifyRequest, FastifySchemaValidationError } from "fastify";
import { OffshootError } from "../protocol/index.ts";

export interface ErrorBody {
	readonly code: number;
	readonly message: string;
	readonly error_code?: string;
}

/** @param signal aborted when the server stops */
export function errorHandler(signal: AbortSignal): (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => void {
	return (error, request, reply) => {
		if (error instanceof OffshootError) return sendError(reply, error);
		if (error.validation !== undefined) return sendText(reply, 400, validationMessage(error.validation, error.validationContext));
		const status = error.statusCode ?? 500;
		if (status >= 400 && status < 500) return sendText(reply, status, error.message);
		if (signal.aborted)
			return sendError(reply, new OffshootError("busy", "The server is shutting down; try again when it is back"));
		request.log.error({ err: error }, "a request failed by a defect of the server");
		void reply.code(500).send({ code: 500, message: "internal server error", error_code: "internal_server_error" });
	};
}

export function unknownRoute(request: FastifyRequest, reply: FastifyReply): void {
	sendText(reply, 404, `There is no ${request.method} ${request.url.split("?")[0]?.slice(0, 200)}`);
}

function sendText(reply: FastifyReply, code: number, message: string): void {
	void reply.code(code).send({ code, message } satisfies ErrorBody);
}

function sendError(reply: FastifyReply, { httpStatus, message, details }: OffshootError): void {
	if (details.retryAfterSeconds !== undefined) void reply.header("retry-after", Math.ceil(details.retryAfterSeconds));
	if (details.shouldRetry !== undefined) void reply.header("should-retry", String(details.shouldRetry));
	const body: ErrorBody = {
		code: httpStatus,
		message,
		...(details.errorCode === undefined ? {} : { error_code: details.errorCode }),
	};
	void reply.code(httpStatus).send(body);
}

/** Names the field by the way to it, as `network.denyOut.0`. */
function validationMessage(errors: readonly FastifySchemaValidationError[], context: string | undefined): string {
	const [first] = errors;
	const way = (first?.instancePath ?? "").split("/").filter((step) => step !== "");
	const missing = first?.params.missingProperty;
	if (typeof missing === "string") return `validation error: ${[...way, missing].join(".")} is required`;
	const field = way.length > 0 ? way.join(".") : (context ?? "request");
	return `validation error: ${field} ${first?.message ?? "is invalid"}`;
}
