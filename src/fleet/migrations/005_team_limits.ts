import type { Kysely } from "kysely";

/** What a team may have beyond or below the server's own limits. Null: as the server says. */
export async function up(db: Kysely<unknown>): Promise<void> {
	await db.schema.alterTable("teams").addColumn("max_sandboxes", "integer").execute();
	await db.schema.alterTable("teams").addColumn("max_timeout_seconds", "integer").execute();
}
