/**
 * The server's side of the egress proxy: its process, started when the first policy needs it, and again when it ended.
 * A policy that was set here is in force when the promise resolves; while the process is away its slots reach nothing.
 */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Static } from "typebox";
import { Value } from "typebox/value";
import { OffshootError } from "../../../protocol/index.ts";
import type { EgressPolicy } from "../types.ts";
import type { EgressAuthority } from "./authority.ts";
import { isHostName } from "./domains.ts";
import { ruleFor } from "./header-rules.ts";
import { FromProxy, type Issued, type ListenerPorts, type ProxyOptions, type SetPolicy } from "./messages.ts";

const RESTART_MS = 500;
const START_TIMEOUT_MS = 20_000;
/** A process that does not answer for so long is ended. */
const ANSWER_TIMEOUT_MS = 10_000;

export interface ProxyProcessOptions {
	readonly proxy: ProxyOptions;
	/** Certificates for hosts of header rules. */
	readonly authority: Pick<EgressAuthority, "issue">;
	/** Leads redirected connections to the ports of a process that has just started. */
	readonly onListening: (ports: Static<typeof ListenerPorts>) => Promise<void>;
	readonly log: Pick<Logger, "warn">;
}

interface Running {
	readonly child: ChildProcess;
	readonly ports: Static<typeof ListenerPorts>;
}

export class ProxyProcess {
	readonly #options: ProxyProcessOptions;
	readonly #policies = new Map<string, EgressPolicy>();
	readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
	readonly #stop = new AbortController();
	#running: Promise<Running> | undefined;
	#nextId = 0;

	constructor(options: ProxyProcessOptions) {
		this.#options = options;
	}

	/** @throws OffshootError not_implemented when this Node cannot carry a policy with a SOCKS proxy or header rules */
	async set(slot: string, policy: EgressPolicy): Promise<void> {
		const before = this.#policies.get(slot);
		this.#policies.set(slot, policy);
		try {
			const { child, ports } = await this.#start();
			if (needsOriginal(policy) && ports.any === undefined) {
				throw new OffshootError(
					"not_implemented",
					"network.egressProxy and network.rules need a server that runs on Node 26 or later. FIX: take the older Node off PATH, and ./offshoot brings its own",
				);
			}
			await this.#send(child, slot, policy);
		} catch (error) {
			if (before === undefined) this.#policies.delete(slot);
			else this.#policies.set(slot, before);
			throw error;
		}
	}

	/** Ends the slot's connections. */
	async drop(slot: string): Promise<void> {
		if (!this.#policies.delete(slot) || this.#running === undefined) return;
		// A process that is gone has no connections.
		await this.#running.then(({ child }) => this.#send(child, slot, undefined)).catch(() => {});
	}

	close(): void {
		this.#stop.abort(new OffshootError("busy", "the node is stopping"));
		void this.#running?.then(({ child }) => child.kill("SIGKILL")).catch(() => {});
	}

	#start(): Promise<Running> {
		this.#stop.signal.throwIfAborted();
		this.#running ??= this.#launch().catch((error) => {
			this.#running = undefined;
			throw error;
		});
		return this.#running;
	}

	async #launch(): Promise<Running> {
		const { proxy, onListening } = this.#options;
		const child = fork(join(import.meta.dirname, "main.ts"), [JSON.stringify(proxy)], {
			cwd: "/",
			env: {},
			execArgv: ["--disable-warning=ExperimentalWarning"],
			stdio: ["ignore", "ignore", "inherit", "ipc"],
		});
		const listening = Promise.withResolvers<Static<typeof ListenerPorts>>();
		const ended = new Error("the egress proxy ended");
		child.on("error", (error) => listening.reject(error));
		child.once("exit", () => {
			listening.reject(ended);
			for (const { reject } of this.#waiting.values()) reject(ended);
			this.#waiting.clear();
		});
		child.on("message", (message) => {
			if (!Value.Check(FromProxy, message)) return;
			if ("listening" in message) listening.resolve(message.listening);
			else if ("issue" in message) void this.#issue(child, message.issue, message.name);
			else this.#waiting.get(message.done)?.resolve();
		});
		const timer = setTimeout(() => listening.reject(new Error("the egress proxy did not start in time")), START_TIMEOUT_MS);
		try {
			const ports = await listening.promise;
			for (const [slot, policy] of this.#policies) await this.#send(child, slot, policy);
			await onListening(ports);
			this.#stop.signal.throwIfAborted();
			child.once("exit", () => void this.#restart());
			if (child.exitCode !== null || child.signalCode !== null) throw ended;
			return { child, ports };
		} catch (error) {
			child.kill("SIGKILL");
			throw error;
		} finally {
			clearTimeout(timer);
		}
	}

	async #restart(): Promise<void> {
		this.#running = undefined;
		while (!this.#stop.signal.aborted && this.#policies.size > 0) {
			this.#options.log.warn("the egress proxy ended; starting it again");
			try {
				await sleep(RESTART_MS, undefined, { signal: this.#stop.signal });
				await this.#start();
				return;
			} catch {
				// Tried again until it works or nobody needs it: meanwhile the slots reach nothing.
			}
		}
	}

	/** For names only that a policy has a rule for: the proxy is not trusted further than that. Never rejects. */
	async #issue(child: ChildProcess, id: number, name: string): Promise<void> {
		const wanted = isHostName(name) && [...this.#policies.values()].some(({ headerRules = [] }) => ruleFor(name, headerRules));
		const certified = wanted ? await this.#options.authority.issue(name).catch(() => undefined) : undefined;
		const message: Issued = { issued: id, certified };
		if (child.connected) child.send(message, () => {});
	}

	#send(child: ChildProcess, slot: string, policy: EgressPolicy | undefined): Promise<void> {
		const id = this.#nextId++;
		const answer = Promise.withResolvers<void>();
		this.#waiting.set(id, answer);
		const message: SetPolicy = { id, slot, policy };
		child.send(message, (error) => error && answer.reject(error));
		const timer = setTimeout(() => child.kill("SIGKILL"), ANSWER_TIMEOUT_MS);
		return answer.promise.finally(() => {
			clearTimeout(timer);
			this.#waiting.delete(id);
		});
	}
}

/** True for what is carried by the address that the guest meant. */
function needsOriginal({ egressProxy, headerRules = [] }: EgressPolicy): boolean {
	return egressProxy !== undefined || headerRules.length > 0;
}
