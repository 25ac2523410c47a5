/**
 * Several clients at once, each with sandboxes of its own that it makes, uses, snapshots and kills. Nothing may fail:
 * what the server refuses with the advice to come back (429, 503) is counted apart and tried again, as clients do.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { RateLimitError, Sandbox, ServiceBusyError } from "e2b";
import { pick, seededRandom } from "../support/random.ts";
import type { TestServer } from "../support/server.ts";

export interface LoadShape {
	/** Sandboxes that live at any time; clients share them. */
	readonly alive: number;
	readonly clients: number;
	readonly seconds: number;
}

const ACTIONS = ["create", "command", "file", "snapshot", "restore", "kill"] as const;
export type Action = (typeof ACTIONS)[number];

/** How often a client does what. */
const DECK = ["use", "use", "use", "use", "use", "use", "use", "branch", "renew"] as const;
const LIFETIME_MS = 3_600_000;
/** What `Retry-After` says of a node without room. */
const RETRY_MS = 5_000;
const NOTE = "note";

export class Load {
	readonly #shape: LoadShape;
	readonly #sdk: TestServer["sdk"];
	readonly #clients: readonly Client[];
	readonly #taken = new Map<Action, number[]>(ACTIONS.map((action) => [action, []]));
	#refused = 0;
	readonly errors: string[] = [];

	constructor(shape: LoadShape, sdk: TestServer["sdk"], seed: number) {
		this.#shape = shape;
		this.#sdk = sdk;
		const client = (_: unknown, index: number) => new Client(this, sdk, seededRandom(seed + index));
		this.#clients = Array.from({ length: shape.clients }, client);
	}

	/** Brings every client to its share of sandboxes. */
	async fill(): Promise<void> {
		const share = Math.ceil(this.#shape.alive / this.#shape.clients);
		await Promise.all(this.#clients.map((client) => client.fill(share)));
	}

	async run(): Promise<void> {
		const end = Date.now() + this.#shape.seconds * 1000;
		await Promise.all(
			this.#clients.map(async (client) => {
				while (Date.now() < end) await client.act();
			}),
		);
	}

	/** Kills every sandbox that a client knows of. */
	async end(): Promise<void> {
		await Promise.all(this.#clients.map((client) => client.end()));
	}

	/** Ids of all that should live. */
	alive(): string[] {
		return this.#clients.flatMap((client) => client.alive()).sort();
	}

	/** Runs `work` until it is not refused any more. Undefined: it failed, which is noted. */
	async attempt<T>(action: Action, work: () => Promise<T>): Promise<T | undefined> {
		for (;;) {
			const started = performance.now();
			try {
				const result = await work();
				this.#taken.get(action)?.push(performance.now() - started);
				return result;
			} catch (error) {
				if (!(error instanceof RateLimitError || error instanceof ServiceBusyError)) {
					this.errors.push(`${action} at ${new Date().toISOString()}: ${String(error)}`);
					return undefined;
				}
				this.#refused += 1;
				await sleep(RETRY_MS);
			}
		}
	}

	report(): string {
		const lines = [...this.#taken].map(([action, all]) => {
			const sorted = all.sort((a, b) => a - b);
			const at = (share: number) => `${sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.toFixed(0)} ms`;
			return `  ${action}: ${sorted.length}, p50 ${at(0.5)}, p90 ${at(0.9)}, max ${at(1)}`;
		});
		const { alive, clients, seconds } = this.#shape;
		return [
			`load: ${alive} sandboxes, ${clients} clients, ${seconds} s: ${this.errors.length} errors, ${this.#refused} refused and tried again`,
			...lines,
		].join("\n");
	}

	createFrom(template: string): Promise<Sandbox | undefined> {
		const action = template === "base" ? "create" : "restore";
		return this.attempt(action, () => Sandbox.create(template, { ...this.#sdk, timeoutMs: LIFETIME_MS }));
	}
}

interface Owned {
	readonly sandbox: Sandbox;
	/** What its file says. */
	note: string;
}

class Client {
	readonly #load: Load;
	readonly #sdk: TestServer["sdk"];
	readonly #random: () => number;
	#owned: Owned[] = [];
	#notes = 0;

	constructor(load: Load, sdk: TestServer["sdk"], random: () => number) {
		this.#load = load;
		this.#sdk = sdk;
		this.#random = random;
	}

	alive(): string[] {
		return this.#owned.map(({ sandbox }) => sandbox.sandboxId);
	}

	async fill(count: number): Promise<void> {
		while (this.#owned.length < count && (await this.#create()));
	}

	async end(): Promise<void> {
		while (this.#owned.length > 0) await this.#killOldest();
	}

	async act(): Promise<void> {
		const owned = pick(this.#random, this.#owned);
		const what = pick(this.#random, DECK);
		if (what === "branch") return this.#branch(owned);
		if (what === "use") return this.#random() < 0.3 ? this.#write(owned) : this.#command(owned);
		await this.#create();
		await this.#killOldest();
	}

	async #create(): Promise<boolean> {
		const sandbox = await this.#load.createFrom("base");
		if (sandbox === undefined) return false;
		const owned = { sandbox, note: "" };
		this.#owned.push(owned);
		await this.#write(owned);
		return true;
	}

	async #killOldest(): Promise<void> {
		const oldest = this.#owned.shift();
		if (oldest === undefined) return;
		await this.#load.attempt("kill", async () => same("kill", await oldest.sandbox.kill(), true));
	}

	async #command({ sandbox, note }: Owned): Promise<void> {
		await this.#load.attempt("command", async () => {
			same("output", (await sandbox.commands.run(`cat ${NOTE}; echo; hostname`)).stdout.split("\n")[0], note);
		});
	}

	async #write(owned: Owned): Promise<void> {
		const note = `${owned.sandbox.sandboxId} ${this.#notes++}`;
		await this.#load.attempt("file", async () => {
			await owned.sandbox.files.write(NOTE, note);
			owned.note = note;
			same("file", await owned.sandbox.files.read(NOTE), note);
		});
	}

	/** A snapshot of a sandbox in use, and one from it that knows what its source knew. */
	async #branch({ sandbox, note }: Owned): Promise<void> {
		const snapshot = await this.#load.attempt("snapshot", () => sandbox.createSnapshot());
		if (snapshot === undefined) return;
		const child = await this.#load.createFrom(snapshot.snapshotId);
		if (child !== undefined) {
			await this.#command({ sandbox: child, note });
			await this.#load.attempt("kill", async () => same("kill", await child.kill(), true));
		}
		await this.#load.attempt("kill", async () =>
			same("deletion", await Sandbox.deleteSnapshot(snapshot.snapshotId, this.#sdk), true),
		);
	}
}

function same(what: string, found: unknown, wanted: unknown): void {
	if (found !== wanted) throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
}
