/** Measures of sandboxes and teams: what of them is to outlive the server. Their owner says how long they are kept. */
import type { Kysely } from "kysely";
import { readNumberMap, readWord } from "./columns.ts";
import type { Schema } from "./schema.ts";

const MEASURE_KINDS = ["sandbox", "team"] as const;

export interface Measure {
	readonly kind: (typeof MEASURE_KINDS)[number];
	/** Id of the sandbox or team. */
	readonly subjectId: string;
	/** ms since the epoch */
	readonly atMs: number;
	readonly sample: Readonly<Record<string, number>>;
}

/** Rows of one statement; SQLite bounds the number of its parameters. */
const AT_ONCE = 100;

export class MeasureRepository {
	readonly #db: Kysely<Schema>;

	constructor(db: Kysely<Schema>) {
		this.#db = db;
	}

	/** One of a subject and time that is there already is left as it is. */
	async add(measures: readonly Measure[]): Promise<void> {
		for (let from = 0; from < measures.length; from += AT_ONCE) {
			const rows = measures.slice(from, from + AT_ONCE).map(({ kind, subjectId, atMs, sample }) => ({
				kind,
				subject_id: subjectId,
				at_ms: atMs,
				sample: JSON.stringify(sample),
			}));
			await this.#db
				.insertInto("measures")
				.values(rows)
				.onConflict((conflict) => conflict.doNothing())
				.execute();
		}
	}

	/** Those of teams and of sandboxes that have not ended, in order of time. */
	async living(): Promise<readonly Measure[]> {
		const rows = await this.#db
			.selectFrom("measures")
			.selectAll()
			.where(({ or, eb, exists, selectFrom }) =>
				or([
					eb("kind", "=", "team"),
					exists(
						selectFrom("sandboxes")
							.select("sandboxes.id")
							.whereRef("sandboxes.id", "=", "measures.subject_id")
							.where("sandboxes.state", "!=", "ended"),
					),
				]),
			)
			.orderBy("at_ms")
			.execute();
		return rows.map((row) => ({
			kind: readWord(MEASURE_KINDS, row.kind, "measures.kind"),
			subjectId: row.subject_id,
			atMs: Number(row.at_ms),
			sample: readNumberMap(row.sample, "measures.sample"),
		}));
	}

	async prune(beforeMs: number): Promise<void> {
		await this.#db.deleteFrom("measures").where("at_ms", "<", beforeMs).execute();
	}
}
