/** Body of the control call. Checked here once; the signature was checked before. */
import type { AgentInit } from "../../../../src/protocol/index.ts";
import { HttpError } from "../errors.ts";

type Json = Readonly<Record<string, unknown>>;

function invalid(field: string, expected: string): HttpError {
	return new HttpError(400, `${field} must be ${expected}`);
}

function text(json: Json, field: keyof AgentInit): string {
	const value = json[field];
	if (typeof value !== "string" || value === "") throw invalid(field, "a string");
	return value;
}

function count(json: Json, field: keyof AgentInit): number {
	const value = json[field];
	if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw invalid(field, "a whole number");
	return value;
}

function flag(json: Json, field: keyof AgentInit): boolean {
	const value = json[field];
	if (typeof value !== "boolean") throw invalid(field, "true or false");
	return value;
}

function environment(json: Json, field: keyof AgentInit): Record<string, string> {
	const value = json[field];
	if (typeof value !== "object" || value === null) throw invalid(field, "an object of strings");
	const entries: [string, string][] = Object.entries(value).map(([name, content]) => {
		if (typeof content !== "string") throw invalid(field, "an object of strings");
		return [name, content];
	});
	return Object.fromEntries(entries);
}

const OPTIONAL = ["accessToken", "defaultUser", "defaultWorkdir", "caBundle"] as const;

/** Names that go into file names' contents and the kernel: one line, no blanks. */
const HOSTNAME = /^[A-Za-z0-9.-]{1,64}$/;

/** @throws HttpError 400 naming the field */
export function parseInit(body: Buffer): AgentInit {
	const json = parseObject(body);
	const hostname = text(json, "hostname");
	if (!HOSTNAME.test(hostname)) throw invalid("hostname", "a host name");
	const given = OPTIONAL.filter((field) => json[field] !== undefined && json[field] !== null);
	return {
		sandboxId: text(json, "sandboxId"),
		templateId: text(json, "templateId"),
		incarnation: count(json, "incarnation"),
		generation: count(json, "generation"),
		nextControlKey: text(json, "nextControlKey"),
		newIdentity: flag(json, "newIdentity"),
		envs: environment(json, "envs"),
		hostname,
		timestampMs: count(json, "timestampMs"),
		entropy: text(json, "entropy"),
		...Object.fromEntries(given.map((field) => [field, text(json, field)])),
	};
}

function parseObject(body: Buffer): Json {
	try {
		const json: unknown = JSON.parse(body.toString());
		if (typeof json === "object" && json !== null && !Array.isArray(json)) return { ...json };
	} catch {
		// Told below, as other bodies that are no object.
	}
	throw new HttpError(400, "the body must be a JSON object");
}
