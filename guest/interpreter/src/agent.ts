/** The sandbox's agent, asked over loopback: it alone knows the access token and the sandbox's environment. */

import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export type AgentAnswer =
	| { readonly allowed: true; readonly environment: Readonly<Record<string, string>> }
	| { readonly allowed: false };

/** The agent did not give an answer that can be trusted. */
export class AgentUnavailable extends Error {
	override readonly name = "AgentUnavailable";
}

/** Its supervisor brings a crashed agent back within a second. */
const ATTEMPTS = 8;
const RETRY_MS = 250;

export class AgentClient {
	readonly #port: number;

	constructor(port: number) {
		this.#port = port;
	}

	/**
	 * Asks whether `accessToken` opens this sandbox, and for its environment. Nothing is remembered: a clone has another
	 * token and other variables. Rejects with AgentUnavailable.
	 */
	async authorize(accessToken: string | undefined, signal: AbortSignal): Promise<AgentAnswer> {
		let failure: unknown;
		for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
			if (attempt > 0) await sleep(RETRY_MS, undefined, { signal });
			try {
				return await this.#ask(accessToken, signal);
			} catch (error) {
				signal.throwIfAborted();
				failure = error;
			}
		}
		throw new AgentUnavailable("the sandbox's agent does not answer", { cause: failure });
	}

	async #ask(accessToken: string | undefined, signal: AbortSignal): Promise<AgentAnswer> {
		const headers = accessToken === undefined ? {} : { "x-access-token": accessToken };
		const { status, body } = await get({ port: this.#port, path: "/envs", headers, signal });
		if (status === 401) return { allowed: false };
		if (status !== 200) throw new AgentUnavailable(`GET /envs answered ${status}`);
		return { allowed: true, environment: parseEnvironment(body) };
	}
}

interface GetOptions {
	readonly port: number;
	readonly path: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly signal: AbortSignal;
}

function get({ port, path, headers, signal }: GetOptions): Promise<{ status: number; body: string }> {
	return new Promise((resolve, reject) => {
		// No connection is kept: one that was open when a snapshot was taken may be dead after the restore.
		const outgoing = request({ host: "127.0.0.1", port, path, headers, signal, agent: false }, (response) => {
			let body = "";
			response.setEncoding("utf8");
			response.on("data", (chunk: string) => {
				body += chunk;
			});
			response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
			response.on("error", reject);
		});
		outgoing.on("error", reject);
		outgoing.end();
	});
}

function parseEnvironment(body: string): Record<string, string> {
	const value: unknown = body === "" ? {} : JSON.parse(body);
	if (typeof value !== "object" || value === null) return {};
	return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}
