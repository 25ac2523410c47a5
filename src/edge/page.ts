/** The same answers for people who open a sandbox's address in a browser. */
import type { ClientRequest } from "./client.ts";

/**
 * True when a browser asks for a page: not for its scripts and fetches, and never for command-line clients. Over plain
 * HTTP browsers leave out what would tell them apart (Sec-Fetch-*): then a page is what HTML is asked for.
 */
export function isBrowserNavigation({ headers }: ClientRequest): boolean {
	const { accept = "", "user-agent": agent = "", "sec-fetch-dest": destination, "sec-fetch-mode": mode } = headers;
	if (!/mozilla|chrome|safari|firefox|edg\/|opera/i.test(agent)) return false;
	if (accept.includes("json")) return false;
	if (destination !== undefined) return /^(document|iframe|frame)$/.test(String(destination));
	if (mode !== undefined) return mode === "navigate";
	return accept.includes("text/html");
}

const LABELS: Readonly<Record<string, string>> = { sandboxId: "Sandbox", port: "Port", connectionLimit: "Limit" };

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .5rem}p{margin:0 0 1.5rem;opacity:.75}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.5rem;margin:0}dt{opacity:.65}dd{margin:0;font-family:ui-monospace,monospace;overflow-wrap:anywhere}`;

export function renderPage(status: number, body: Readonly<Record<string, string | number>>, hint = ""): string {
	const rows = Object.entries(body)
		.filter(([name]) => name !== "message" && name !== "code")
		.map(([name, value]) => `<dt>${escapeHtml(LABELS[name] ?? name)}</dt><dd>${escapeHtml(String(value))}</dd>`);
	const message = escapeHtml(String(body.message ?? ""));
	return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${status}: ${message}</title>
<style>${STYLE}</style>
<h1>${message}</h1>
<p>${escapeHtml(hint)}</p>
<dl>${rows.join("")}<dt>Status</dt><dd>${status}</dd></dl>
</html>
`;
}

function escapeHtml(text: string): string {
	return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
