/**
 * Acts on the end of every running sandbox's time: kills or pauses it. One timer stands at the earliest end; nothing is
 * polled. A pause that fails is tried again, ever more seldom: a sandbox that was to be kept is never killed instead.
 */
import type { SandboxRecord } from "../fleet/index.ts";
import { sleep } from "./clock.ts";
import { type Core, unlessKilled } from "./core.ts";
import { endSandbox } from "./kill.ts";
import { beginPause } from "./pause.ts";
import type { PauseRequest } from "./types.ts";

const FIRST_RETRY_MS = 5_000;
/** What fails for long may fail until someone does something about it, and each try stops the guest. */
const LAST_RETRY_MS = 300_000;
/** Timers hold 2^31 ms at most. */
const LONGEST_TIMER_MS = 3_600_000;

export class Expiry {
	readonly #core: Core;
	#timer: { readonly at: number; readonly cancel: () => void } | undefined;
	/** Sandboxes whose end is being acted on, or waits for another try. To abort ends that waiting. */
	readonly #busy = new Map<string, AbortController>();
	#open = false;

	constructor(core: Core) {
		this.#core = core;
	}

	/** Acts on everything that is due already, then on time. */
	start(): void {
		this.#open = true;
		for (const record of this.#core.ledger.all()) this.consider(record);
	}

	stop(): void {
		this.#open = false;
		this.#timer?.cancel();
		this.#timer = undefined;
	}

	/** Takes note of a sandbox's new state. */
	consider(record: SandboxRecord): void {
		this.#busy.get(record.id)?.abort();
		if (!this.#open || !this.#isCandidate(record)) return;
		this.#arm(record.endAt.getTime());
	}

	#isCandidate(record: SandboxRecord): boolean {
		return record.state === "running" && !this.#busy.has(record.id);
	}

	#arm(endAt: number): void {
		const now = this.#core.clock.now();
		const at = Math.min(endAt, now + LONGEST_TIMER_MS);
		if (this.#timer && this.#timer.at <= at) return;
		this.#timer?.cancel();
		this.#timer = { at, cancel: this.#core.clock.schedule(Math.max(0, at - now), () => this.#fire()) };
	}

	#fire(): void {
		this.#timer = undefined;
		let next = Number.POSITIVE_INFINITY;
		for (const record of [...this.#core.ledger.all()]) {
			if (!this.#isCandidate(record)) continue;
			const endAt = record.endAt.getTime();
			if (endAt > this.#core.clock.now()) next = Math.min(next, endAt);
			else this.#core.chores.inBackground(this.#expire(record));
		}
		if (next < Number.POSITIVE_INFINITY) this.#arm(next);
	}

	async #expire(due: SandboxRecord): Promise<void> {
		this.#busy.set(due.id, new AbortController());
		let waitMs = FIRST_RETRY_MS;
		while (await this.#act(due)) {
			await this.#untilNextTry(due.id, waitMs);
			if (due.onTimeout === "pause") waitMs = Math.min(2 * waitMs, LAST_RETRY_MS);
		}
		this.#busy.delete(due.id);
		const record = this.#core.ledger.get(due.id);
		if (record) this.consider(record);
	}

	/** Also until something changes about the sandbox: its end may be another one by then. */
	async #untilNextTry(id: string, waitMs: number): Promise<void> {
		const changed = new AbortController();
		this.#busy.set(id, changed);
		const either = AbortSignal.any([changed.signal, this.#core.lifetime]);
		await sleep(this.#core.clock, waitMs, either).catch(() => undefined);
	}

	/** @returns true when it has to be tried again */
	async #act(due: SandboxRecord): Promise<boolean> {
		const { operations, ledger, clock, log } = this.#core;
		await operations.current(due.id)?.released;
		const record = ledger.get(due.id);
		if (!this.#open || record?.state !== "running" || record.endAt.getTime() > clock.now()) return false;
		if (operations.current(due.id)) return false;
		try {
			await this.#end(record);
			return false;
		} catch (error) {
			log.error({ err: error, sandboxId: due.id }, `could not ${record.onTimeout} a sandbox at its end; trying again`);
			return true;
		}
	}

	async #end(record: SandboxRecord): Promise<void> {
		const ending = { reason: "its time was up", due: record.endAt };
		if (record.onTimeout === "kill") await unlessKilled(endSandbox(this.#core, record.id, ending));
		else await unlessKilled(beginPause(this.#core, record, autoPause(record)).then(() => undefined));
	}
}

/** Nobody is there to decide anew when the guest is not healthy: it is paused as it is. */
function autoPause(record: SandboxRecord): PauseRequest {
	return { memory: record.autoPauseMemory, requireHealthyGuest: false };
}
