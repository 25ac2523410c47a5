/** The API on a port of its own, in front of a control that is made up. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { createApi } from "../api.ts";
import { FakeControl } from "./fake-control.ts";
import { ADMIN_TOKEN, API_KEY, DOMAIN } from "./known.ts";

export interface OpenApi extends AsyncDisposable {
	readonly control: FakeControl;
	readonly url: string;
	readonly shutdown: AbortController;
	/** What the server logged. */
	readonly log: readonly Readonly<Record<string, unknown>>[];
	/** Sends a request with the right key; returns status, body and headers. */
	call(
		method: string,
		path: string,
		body?: unknown,
		headers?: Record<string, string>,
		// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
	): Promise<{ status: number; body: any; headers: Headers }>;
}

export async function openApi(): Promise<OpenApi> {
	const control = new FakeControl();
	const shutdown = new AbortController();
	const log: Record<string, unknown>[] = [];
	const options = { level: "info", formatters: { level: (level: string) => ({ level }) } };
	const logger = pino(options, { write: (line) => log.push(JSON.parse(line)) });
	const api = await createApi({
		control,
		adminToken: ADMIN_TOKEN,
		domain: DOMAIN,
		log: logger,
		version: "0.0.0",
		signal: shutdown.signal,
	});
	const server = createServer(api.handler);
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return {
		control,
		url,
		shutdown,
		log,
		async call(method, path, body, headers = {}) {
			const answer = await fetch(url + path, {
				method,
				headers: { "X-API-KEY": API_KEY, ...headers },
				...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
			});
			const text = await answer.text();
			return { status: answer.status, body: text === "" ? undefined : JSON.parse(text), headers: answer.headers };
		},
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
			await api.close();
		},
	};
}
