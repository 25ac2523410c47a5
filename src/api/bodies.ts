/**
 * Request bodies as clients send them: JSON under any content type, chunked or not, and nothing at all where a body
 * would be optional. A field that is null counts as not sent, except on routes where it means something.
 */

import { OffshootError } from "../protocol/index.ts";
import type { App } from "./app.ts";

export const BODY_LIMIT_BYTES = 16 * 1024 * 1024;

export function acceptBodies(app: App): void {
	app.removeAllContentTypeParsers();
	app.addContentTypeParser("*", { parseAs: "string", bodyLimit: BODY_LIMIT_BYTES }, (request, text, done) => {
		try {
			const { nullIsValue = false } = request.routeOptions.config;
			done(null, parseBody(String(text), nullIsValue ? withoutPrototypes : withoutNulls));
		} catch (error) {
			const why = error instanceof Error ? error.message : "not JSON";
			done(new OffshootError("invalid_request", `Error when parsing request: the body is not valid JSON: ${why}`), undefined);
		}
	});
	app.addHook("preValidation", async (request) => {
		request.body ??= {};
	});
}

type Reviver = (name: string, value: unknown) => unknown;

function parseBody(text: string, reviver: Reviver): unknown {
	if (text.trim() === "") return {};
	return JSON.parse(text, reviver);
}

function withoutPrototypes(name: string, value: unknown): unknown {
	return name === "__proto__" ? undefined : value;
}

function withoutNulls(name: string, value: unknown): unknown {
	return value === null ? undefined : withoutPrototypes(name, value);
}
