import type { Kysely } from "kysely";

/** Measures of sandboxes and teams, so that they outlive the server. */
export async function up(db: Kysely<unknown>): Promise<void> {
	await db.schema
		.createTable("measures")
		.addColumn("kind", "text", (column) => column.notNull())
		.addColumn("subject_id", "text", (column) => column.notNull())
		.addColumn("at_ms", "bigint", (column) => column.notNull())
		.addColumn("sample", "text", (column) => column.notNull())
		.addPrimaryKeyConstraint("measures_pk", ["kind", "subject_id", "at_ms"])
		.execute();
	await db.schema.createIndex("measures_age").on("measures").column("at_ms").execute();
}
