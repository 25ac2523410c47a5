/** Query parameters that clients encode in ways of their own. */
import type { IncomingHttpHeaders } from "node:http";
import { OffshootError } from "../protocol/index.ts";
import { MAX_ENTRIES } from "./schemas.ts";

type Repeatable = string | readonly string[] | undefined;

/** A list given as comma-joined values, as repeated parameters, or both; undefined when the parameter is absent. */
export function listOf(value: Repeatable): readonly string[] | undefined {
	if (value === undefined) return undefined;
	const texts = typeof value === "string" ? [value] : value;
	return texts.flatMap((text) => text.split(",")).filter((text) => text !== "");
}

/**
 * The metadata filter. Clients percent-encode keys and values, join them as a query string, which encodes them again,
 * and encode the whole; the outermost layer is gone when the parameter arrives here.
 * @throws OffshootError invalid_request
 */
export function metadataOf(value: Repeatable): Readonly<Record<string, string>> {
	const texts = value === undefined ? [] : typeof value === "string" ? [value] : value;
	const pairs = texts.flatMap((text) => [...new URLSearchParams(text)]);
	if (pairs.length > MAX_ENTRIES) {
		throw new OffshootError("invalid_request", `validation error: metadata may have ${MAX_ENTRIES} pairs at most`);
	}
	return Object.fromEntries(pairs.map(([name, text]) => [decode(name), decode(text)]));
}

function decode(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		throw new OffshootError(
			"invalid_request",
			`validation error: metadata has an invalid percent encoding in '${text.slice(0, 100)}'`,
		);
	}
}

const RFC3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/** @throws OffshootError invalid_request */
export function timeOf(value: string | undefined, field: string): Date | undefined {
	if (value === undefined) return undefined;
	// A `+` before the zone that was not encoded arrives as a space.
	const text = value.replace(/ (?=\d\d:\d\d$)/, "+");
	const time = new Date(text);
	if (!RFC3339.test(text) || Number.isNaN(time.getTime())) {
		throw new OffshootError("invalid_request", `validation error: ${field} must be a time as 2026-01-31T12:00:00Z`);
	}
	return time;
}

/** The key under which a request may be repeated; its form is control's to check. */
export function idempotencyKeyOf(headers: IncomingHttpHeaders): string | undefined {
	const value = headers["idempotency-key"];
	return typeof value === "string" ? value : value?.join();
}
