/** Certificates with which the proxy answers for other hosts, as the server issues them. */
import { createSecureContext, type SecureContext } from "node:tls";
import type { CertifiedKey } from "./authority.ts";

/** Far below the days that a certificate is good for. */
const KEEP_MS = 24 * 60 * 60 * 1000;
/** Names kept; the oldest give way. */
const MAX_NAMES = 1_000;

interface Kept {
	readonly context: Promise<SecureContext>;
	readonly until: number;
}

export class Certificates {
	readonly #ask: (name: string) => Promise<CertifiedKey>;
	readonly #kept = new Map<string, Kept>();

	/** @param ask the server, for a certificate of this name */
	constructor(ask: (name: string) => Promise<CertifiedKey>) {
		this.#ask = ask;
	}

	/** @throws when the server refuses */
	contextFor(name: string): Promise<SecureContext> {
		const kept = this.#kept.get(name);
		if (kept !== undefined && kept.until > Date.now()) return kept.context;
		const context = this.#ask(name).then(({ cert, key }) => createSecureContext({ cert, key }));
		this.#kept.delete(name);
		this.#kept.set(name, { context, until: Date.now() + KEEP_MS });
		context.catch(() => this.#kept.delete(name));
		for (const oldest of this.#kept.keys()) {
			if (this.#kept.size <= MAX_NAMES) break;
			this.#kept.delete(oldest);
		}
		return context;
	}
}
