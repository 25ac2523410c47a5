import { inject } from "vitest";

export interface Answer {
	readonly status: number;
	// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
	readonly body: any;
	readonly headers: Headers;
}

/** One plain request to the shared server's API, with the first team's key unless the headers say otherwise. */
export function rest(
	method: string,
	path: string,
	body?: unknown,
	headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
	const { url, sdk } = inject("server");
	return restAt(url, method, path, body, { "X-API-KEY": sdk.apiKey, ...headers });
}

/** The same to any server, with nothing but the headers given. */
export async function restAt(
	url: string,
	method: string,
	path: string,
	body: unknown,
	headers: Readonly<Record<string, string>>,
): Promise<Answer> {
	const response = await fetch(url + path, {
		method,
		headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
		...(body === undefined ? {} : { body: JSON.stringify(body) }),
	});
	const text = await response.text();
	return { status: response.status, body: text === "" ? undefined : JSON.parse(text), headers: response.headers };
}
