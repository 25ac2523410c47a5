/** Bodies of requests, checked once. Errors look like those of the service the clients were written for (FastAPI). */

import type { IncomingMessage } from "node:http";

/** Code longer than this is refused. Bytes. */
const MAX_BODY = 64 * 1024 * 1024;

export interface ExecuteRequest {
	readonly code: string;
	readonly contextId: string | undefined;
	readonly language: string | undefined;
	readonly environment: Readonly<Record<string, string>>;
}

export interface CreateContextRequest {
	readonly language: string | undefined;
	readonly cwd: string | undefined;
}

/** An answer other than success, decided while the request was read. */
export class HttpError extends Error {
	override readonly name = "HttpError";
	readonly status: number;
	readonly body: string | object;

	constructor(status: number, body: string | object) {
		super(typeof body === "string" ? body : JSON.stringify(body));
		this.status = status;
		this.body = body;
	}
}

export async function readExecuteRequest(request: IncomingMessage): Promise<ExecuteRequest> {
	const body = await readObject(request);
	const code = body.code;
	if (code === undefined) throw invalid(["body", "code"], "missing", "Field required");
	if (typeof code !== "string") throw invalid(["body", "code"], "string_type", "Input should be a valid string");
	const contextId = optionalString(body, "context_id");
	const language = optionalString(body, "language");
	if (contextId !== undefined && language !== undefined) {
		throw new HttpError(400, "Only one of context_id or language can be provided");
	}
	return { code, contextId, language, environment: readEnvironment(body.env_vars) };
}

export async function readCreateContextRequest(request: IncomingMessage): Promise<CreateContextRequest> {
	const body = await readObject(request);
	return { language: optionalString(body, "language"), cwd: optionalString(body, "cwd") };
}

/** Reads a JSON object of limited size. */
export async function readObject(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of request) {
		size += chunk.length;
		if (size > MAX_BODY) throw new HttpError(413, `the body is larger than ${MAX_BODY} bytes`);
		chunks.push(chunk);
	}
	let value: unknown;
	try {
		value = JSON.parse(Buffer.concat(chunks).toString());
	} catch {
		throw invalid(["body"], "json_invalid", "JSON decode error");
	}
	if (!isObject(value)) throw invalid(["body"], "model_attributes_type", "Input should be a valid dictionary or object");
	return value;
}

/** An empty string is as good as none: clients in other languages send it so. */
function optionalString(body: Readonly<Record<string, unknown>>, name: string): string | undefined {
	const value = body[name];
	if (value === undefined || value === null || value === "") return undefined;
	if (typeof value !== "string") throw invalid(["body", name], "string_type", "Input should be a valid string");
	return value;
}

function readEnvironment(value: unknown): Record<string, string> {
	if (value === undefined || value === null) return {};
	if (!isObject(value)) throw invalid(["body", "env_vars"], "dict_type", "Input should be a valid dictionary");
	const entries = Object.entries(value).map(([name, text]): [string, string] => {
		if (typeof text !== "string") throw invalid(["body", "env_vars", name], "string_type", "Input should be a valid string");
		if (name === "" || /[=\0]/.test(name) || text.includes("\0")) {
			throw invalid(["body", "env_vars", name], "value_error", "Not a possible environment variable");
		}
		return [name, text];
	});
	return Object.fromEntries(entries);
}

function invalid(loc: readonly string[], type: string, msg: string): HttpError {
	return new HttpError(422, { detail: [{ type, loc, msg }] });
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
