/** The resolvers that this host uses now. */
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";

const RESOLV_CONF = "/etc/resolv.conf";

/** How long what was read holds, ms: networks change while a server runs. */
const MAX_AGE_MS = 2000;

/** What the C library asks when resolv.conf names none; and how many it heeds (resolv.conf(5)). */
const DEFAULT_RESOLVER = "127.0.0.1";
const MAX_RESOLVERS = 3;

let known: { readonly readAt: number; readonly addresses: Promise<readonly string[]> } | undefined;

export function resolvers(): Promise<readonly string[]> {
	const now = performance.now();
	if (known === undefined || now - known.readAt > MAX_AGE_MS) known = { readAt: now, addresses: readResolvers() };
	return known.addresses;
}

async function readResolvers(): Promise<readonly string[]> {
	try {
		return parseResolvConf(await readFile(RESOLV_CONF, "utf8"));
	} catch {
		return [DEFAULT_RESOLVER];
	}
}

export function parseResolvConf(text: string): readonly string[] {
	const addresses = text
		.split("\n")
		.map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? "")
		.filter((address) => isIP(address) !== 0);
	return addresses.length === 0 ? [DEFAULT_RESOLVER] : addresses.slice(0, MAX_RESOLVERS);
}
