/** Certificates with which the proxy answers for other hosts, as the server issues them. */
import { setTimeout as sleep } from "node:timers/promises";
import { createSecureContext, type SecureContext } from "node:tls";
import { Turns } from "../../host/turns.ts";
import type { CertifiedKey } from "./authority.ts";

/** Far below the days that a certificate is good for. */
const KEEP_MS = 24 * 60 * 60 * 1000;
/** Names kept; the oldest give way. */
const MAX_NAMES = 1_000;
/** Between two that one slot gets: under a wildcard there are names without end, and each costs the server 4 ms. */
const ISSUE_EVERY_MS = 100;

interface Kept {
	readonly context: Promise<SecureContext>;
	readonly until: number;
}

export class Certificates {
	readonly #ask: (name: string) => Promise<CertifiedKey>;
	readonly #kept = new Map<string, Kept>();
	readonly #turns = new Turns(1);

	/** @param ask the server, for a certificate of this name */
	constructor(ask: (name: string) => Promise<CertifiedKey>) {
		this.#ask = ask;
	}

	/**
	 * @param slot whose guest asks
	 * @throws when the server refuses, or the signal's reason
	 */
	contextFor(name: string, slot: string, signal: AbortSignal): Promise<SecureContext> {
		return this.#find(name) ?? this.#inTurn(name, slot, signal);
	}

	#find(name: string): Promise<SecureContext> | undefined {
		const kept = this.#kept.get(name);
		return kept !== undefined && kept.until > Date.now() ? kept.context : undefined;
	}

	/** Nobody else waits for a slot's turn: the name is noted only when it has come. */
	#inTurn(name: string, slot: string, signal: AbortSignal): Promise<SecureContext> {
		const found = Promise.withResolvers<SecureContext>();
		const turn = this.#turns.take(slot, signal, async () => {
			const kept = this.#find(name);
			found.resolve(kept ?? this.#issue(name));
			if (kept === undefined) await Promise.allSettled([found.promise, sleep(ISSUE_EVERY_MS)]);
		});
		turn.catch(found.reject);
		return found.promise;
	}

	#issue(name: string): Promise<SecureContext> {
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
