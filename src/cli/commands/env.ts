import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { readApiKey } from "../instance/secrets.ts";
import { requireServer, type ServerFile } from "../instance/server-file.ts";
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

export interface TlsClientEnvironment {
	readonly E2B_DOMAIN: string;
	readonly E2B_API_KEY: string;
	readonly NODE_EXTRA_CA_CERTS?: string;
	readonly SSL_CERT_FILE?: string;
	readonly CURL_CA_BUNDLE?: string;
}

function tlsEnvironment({ domain, authority }: NonNullable<ServerFile["tls"]>, apiKey: string): TlsClientEnvironment {
	const base = { E2B_DOMAIN: domain, E2B_API_KEY: apiKey };
	if (authority === undefined) return base;
	return { ...base, NODE_EXTRA_CA_CERTS: authority, SSL_CERT_FILE: authority, CURL_CA_BUNDLE: authority };
}

export function exportLines(environment: ClientEnvironment | TlsClientEnvironment): readonly string[] {
	return Object.entries(environment).map(([name, value]) => `export ${name}=${shellQuote(value)}`);
}

/** @throws OffshootError not_found when no server runs */
export async function serverEnvironment({ dataDir }: Config): Promise<ClientEnvironment> {
	const server = await requireServer(dataDir);
	return clientEnvironment(server.url, await requireApiKey(dataDir));
}

/** @throws OffshootError not_found when no server runs, or it has no encrypted listener */
async function encryptedEnvironment({ dataDir }: Config): Promise<TlsClientEnvironment> {
	const { tls } = await requireServer(dataDir);
	if (tls === undefined) {
		throw new OffshootError("not_found", "the server has no TLS. FIX: ./offshoot cert, then start it with OFFSHOOT_TLS_PORT");
	}
	return tlsEnvironment(tls, await requireApiKey(dataDir));
}

async function requireApiKey(dataDir: string): Promise<string> {
	const key = await readApiKey(dataDir);
	if (key !== undefined) return key;
	throw new OffshootError("not_found", `${dataDir}/key is gone. FIX: ./offshoot down && ./offshoot up --detach`);
}

export async function env(config: Config, options: { readonly tls: boolean }): Promise<void> {
	const environment = options.tls ? await encryptedEnvironment(config) : await serverEnvironment(config);
	process.stdout.write(`${exportLines(environment).join("\n")}\n`);
}
