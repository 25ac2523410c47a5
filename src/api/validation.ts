/** Checks requests against their schemas: bodies to the letter, queries and paths with their texts read as numbers. */
import { Ajv, type AnySchema } from "ajv";
import type { App } from "./app.ts";

export function checkRequests(app: App): void {
	const exact = new Ajv({ useDefaults: true, strict: false });
	const fromText = new Ajv({ useDefaults: true, strict: false, coerceTypes: true });
	app.setValidatorCompiler<AnySchema>(({ schema, httpPart }) => (httpPart === "body" ? exact : fromText).compile(schema));
}
