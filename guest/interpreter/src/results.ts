/** Jupyter MIME bundles as result events. */

import type { ResultEvent } from "./events.ts";

const KEY_OF_TYPE: Readonly<Record<string, string>> = {
	"text/plain": "text",
	"text/html": "html",
	"text/markdown": "markdown",
	"image/svg+xml": "svg",
	"image/png": "png",
	"image/jpeg": "jpeg",
	"application/pdf": "pdf",
	"text/latex": "latex",
	"application/json": "json",
	"application/javascript": "javascript",
	"e2b/data": "data",
	"e2b/chart": "chart",
};

export interface MimeBundle {
	readonly [type: string]: unknown;
}

/** The event of one displayed value. Types without a key of their own are collected in `extra`. */
export function resultEvent(bundle: MimeBundle, origin: "execute_result" | "display_data"): ResultEvent {
	const formats: Record<string, unknown> = {};
	const extra: Record<string, unknown> = {};
	for (const [type, value] of Object.entries(bundle)) {
		if (value === null || value === undefined) continue;
		const key = KEY_OF_TYPE[type];
		if (key === undefined) extra[type] = value;
		else formats[key] = key === "text" ? unquote(value) : value;
	}
	if (Object.keys(extra).length > 0) formats.extra = extra;
	return { type: "result", is_main_result: origin === "execute_result", ...formats };
}

/** The text of a string is shown without the quotes of its literal. */
function unquote(text: unknown): unknown {
	if (typeof text !== "string" || text.length < 2) return text;
	const quote = text[0];
	return (quote === "'" || quote === '"') && text.endsWith(quote) ? text.slice(1, -1) : text;
}
