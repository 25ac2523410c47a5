/**
 * Logs of sandboxes: what happened to each of them, what its limits ended in it, and what its own processes print where
 * nobody else listens. Entries reach the database within a second, many in one write, so that logging costs a create
 * nothing; a crash of the server may lose that second. Reading shows everything that was written before.
 */
import { LIFECYCLE_LOGGER, type LogEntry, type LogLevel, type LogQuery, type SandboxRecord } from "../fleet/index.ts";
import type { SandboxOutput } from "../node/index.ts";
import { sandboxNotFound } from "../protocol/index.ts";
import { sleep } from "./clock.ts";
import { type Core, now } from "./core.ts";
import type { Team } from "./types.ts";

export type LogsQuery = Omit<LogQuery, "sandboxId">;

export interface Logs {
	/** Of a living sandbox or one that ended within the last days. @throws OffshootError not_found */
	read(team: Team, sandboxId: string, query: LogsQuery): Promise<readonly LogEntry[]>;
}

const FLUSH_MS = 1_000;
/** Entries of one sandbox that wait to be written; older ones give way. */
const MAX_WAITING = 1_000;
/** A sandbox's own output that begins so comes from its guest agent. */
const AGENT = /^agent: /;

export class Journal implements Logs {
	readonly #core: Pick<Core, "fleet" | "clock" | "chores" | "lifetime" | "log">;
	readonly #waiting = new Map<string, LogEntry[]>();
	#flushing = false;
	#written: Promise<void> = Promise.resolve();

	constructor(core: Pick<Core, "fleet" | "clock" | "chores" | "lifetime" | "log">) {
		this.#core = core;
	}

	/** Notes what a change of its row means for the sandbox. */
	noteChange(before: SandboxRecord, after: SandboxRecord): void {
		const what = CHANGES[`${before.state}>${after.state}`];
		if (what !== undefined) this.#note(after.id, "info", LIFECYCLE_LOGGER, what(after));
	}

	/** Notes the end of a sandbox, the last entry of most logs. */
	noteEnd(before: SandboxRecord, reason: string): void {
		this.#note(before.id, "info", LIFECYCLE_LOGGER, `Sandbox ended: ${reason}`);
	}

	noteOutput({ sandboxId, source, lines }: SandboxOutput): void {
		if (source !== undefined) {
			for (const line of lines) this.#note(sandboxId, "warn", source, line);
			return;
		}
		for (const line of lines) {
			const agent = AGENT.test(line);
			this.#note(sandboxId, "info", agent ? "agent" : "sandbox", agent ? line.replace(AGENT, "") : line);
		}
	}

	async read(team: Team, sandboxId: string, query: LogsQuery): Promise<readonly LogEntry[]> {
		const row = await this.#core.fleet.sandboxes.get(sandboxId);
		if (row?.teamId !== team.id) throw sandboxNotFound(sandboxId);
		await this.flush();
		return this.#core.fleet.logs.read({ ...query, sandboxId });
	}

	/** Writes everything that waits. */
	flush(): Promise<void> {
		this.#written = this.#written.then(() => this.#write());
		return this.#written;
	}

	#note(sandboxId: string, level: LogLevel, logger: string, message: string): void {
		const entries = this.#waiting.get(sandboxId) ?? [];
		entries.push({ atMs: this.#core.clock.now(), level, logger, message });
		if (entries.length > MAX_WAITING)
			entries.splice(
				entries.findIndex((entry) => entry.logger !== LIFECYCLE_LOGGER),
				1,
			);
		this.#waiting.set(sandboxId, entries);
		if (this.#flushing || this.#core.lifetime.aborted) return;
		this.#flushing = true;
		this.#core.chores.inBackground(this.#flushSoon());
	}

	async #flushSoon(): Promise<void> {
		await sleep(this.#core.clock, FLUSH_MS, this.#core.lifetime).catch(() => undefined);
		this.#flushing = false;
		await this.flush();
	}

	async #write(): Promise<void> {
		if (this.#waiting.size === 0) return;
		const entries = [...this.#waiting];
		this.#waiting.clear();
		try {
			await this.#core.fleet.transaction(async ({ logs }) => {
				for (const [sandboxId, list] of entries) await logs.append(sandboxId, list);
			});
		} catch (error) {
			this.#core.log.error({ err: error }, "logs of sandboxes could not be written");
		}
	}
}

const CHANGES: Readonly<Record<string, (record: SandboxRecord) => string>> = {
	"starting>running": (record) => `Sandbox started from template ${record.templateId}`,
	"pausing>paused": () => "Sandbox paused",
	"pausing>running": () => "Pausing failed; the sandbox runs on",
	"resuming>running": () => "Sandbox resumed",
	"resuming>paused": () => "Resuming failed; the sandbox is still paused",
};

/** Why an id that was ours does not exist any more, for the answer to someone who asks about it. */
export async function endedSandbox(core: Core, team: Team, sandboxId: string): Promise<string | undefined> {
	const row = await core.fleet.sandboxes.get(sandboxId);
	if (row?.teamId !== team.id || row.state !== "ended") return undefined;
	return `it ended at ${(row.endedAt ?? now(core)).toISOString()}: ${row.endReason ?? "for an unknown reason"}`;
}
