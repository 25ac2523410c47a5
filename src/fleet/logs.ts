/** Logs of sandboxes. Of what a sandbox prints only the newest is kept; what happened to it stays. */
import type { Kysely } from "kysely";
import { readWord } from "./columns.ts";
import type { Schema } from "./schema.ts";

/** From the least to the most serious. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogEntry {
	/** ms since the epoch */
	readonly atMs: number;
	readonly level: LogLevel;
	/** Who said it: `control`, `limits`, `agent` or `sandbox`. */
	readonly logger: string;
	readonly message: string;
}

export interface LogQuery {
	readonly sandboxId: string;
	readonly limit: number;
	/** Forward: oldest first, from the cursor on. Backward: newest first, up to the cursor. */
	readonly direction: "forward" | "backward";
	/** ms since the epoch; from the beginning or the end when undefined */
	readonly cursor: number | undefined;
	/** The least serious level to show. */
	readonly level: LogLevel;
	/** Text that the message must contain, to the letter. */
	readonly search: string | undefined;
}

/** Its entries are few, and stay however much a sandbox prints. */
export const LIFECYCLE_LOGGER = "control";

/** Kept of each sandbox. */
const MAX_ENTRIES = 2_000;

export class LogRepository {
	readonly #db: Kysely<Schema>;

	constructor(db: Kysely<Schema>) {
		this.#db = db;
	}

	/** Must run in a transaction. Entries of a sandbox that has no row are dropped. */
	async append(sandboxId: string, entries: readonly LogEntry[]): Promise<void> {
		const row = await this.#db.selectFrom("sandboxes").select("id").where("id", "=", sandboxId).executeTakeFirst();
		if (!row) return;
		const last = await this.#db
			.selectFrom("sandbox_logs")
			.select((eb) => eb.fn.max("seq").as("seq"))
			.where("sandbox_id", "=", sandboxId)
			.executeTakeFirst();
		const first = Number(last?.seq ?? 0) + 1;
		const kept = entries.slice(-MAX_ENTRIES);
		for (const [index, { atMs, level, logger, message }] of kept.entries()) {
			const columns = { sandbox_id: sandboxId, seq: first + index, at_ms: atMs, level, logger, message };
			await this.#db.insertInto("sandbox_logs").values(columns).execute();
		}
		await this.#db
			.deleteFrom("sandbox_logs")
			.where("sandbox_id", "=", sandboxId)
			.where("seq", "<", first + kept.length - MAX_ENTRIES)
			.where("logger", "!=", LIFECYCLE_LOGGER)
			.execute();
	}

	async read(query: LogQuery): Promise<readonly LogEntry[]> {
		const forward = query.direction === "forward";
		const order = forward ? "asc" : "desc";
		let select = this.#db
			.selectFrom("sandbox_logs")
			.selectAll()
			.where("sandbox_id", "=", query.sandboxId)
			.where("level", "in", LOG_LEVELS.slice(LOG_LEVELS.indexOf(query.level)));
		if (query.cursor !== undefined) select = select.where("at_ms", forward ? ">=" : "<=", query.cursor);
		const { search = "" } = query;
		const rows = await select.orderBy("seq", order).execute();
		const entries = rows.filter((row) => row.message.includes(search)).slice(0, query.limit);
		return entries.map((row) => ({
			atMs: Number(row.at_ms),
			level: readWord(LOG_LEVELS, row.level, "sandbox_logs.level"),
			logger: row.logger,
			message: row.message,
		}));
	}
}
