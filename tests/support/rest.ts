import { inject } from "vitest";

export interface Answer {
	readonly status: number;
	// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
	readonly body: any;
	readonly headers: Headers;
}

/** One plain request to the shared server's API, with the first team's key unless the headers say otherwise. */
export async function rest(
	method: string,
	path: string,
	body?: unknown,
	headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
	const { url, sdk } = inject("server");
	const response = await fetch(url + path, {
		method,
		headers: { "X-API-KEY": sdk.apiKey, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
		...(body === undefined ? {} : { body: JSON.stringify(body) }),
	});
	const text = await response.text();
	return { status: response.status, body: text === "" ? undefined : JSON.parse(text), headers: response.headers };
}
