import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { readApiKey } from "../instance/secrets.ts";
import { requireServer } from "../instance/server-file.ts";
import { shellQuote } from "../terminal/shell-quote.ts";

/** Variables that every E2B SDK and the CLI read. */
export interface ClientEnvironment {
	readonly E2B_API_URL: string;
	readonly E2B_SANDBOX_URL: string;
	readonly E2B_API_KEY: string;
}

export function clientEnvironment(url: string, apiKey: string): ClientEnvironment {
	return { E2B_API_URL: url, E2B_SANDBOX_URL: url, E2B_API_KEY: apiKey };
}

export function exportLines(environment: ClientEnvironment): readonly string[] {
	return Object.entries(environment).map(([name, value]) => `export ${name}=${shellQuote(value)}`);
}

/** @throws OffshootError not_found when no server runs */
export async function serverEnvironment({ dataDir }: Config): Promise<ClientEnvironment> {
	const server = await requireServer(dataDir);
	const key = await readApiKey(dataDir);
	if (key === undefined)
		throw new OffshootError("not_found", `${dataDir}/key is gone. FIX: ./offshoot down && ./offshoot up --detach`);
	return clientEnvironment(server.url, key);
}

export async function env(config: Config): Promise<void> {
	process.stdout.write(`${exportLines(await serverEnvironment(config)).join("\n")}\n`);
}
