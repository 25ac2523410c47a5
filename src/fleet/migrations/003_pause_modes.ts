import { type Kysely, sql } from "kysely";

/** Captures of files alone, and pauses of guests that did not answer. Everything from before holds memory. */
export async function up(db: Kysely<unknown>): Promise<void> {
	await db.schema
		.alterTable("builds")
		.addColumn("memory", "integer", (column) => column.notNull().defaultTo(1))
		.execute();
	await db.schema
		.alterTable("sandboxes")
		.addColumn("auto_pause_memory", "integer", (column) => column.notNull().defaultTo(1))
		.execute();
	await db.schema
		.alterTable("sandboxes")
		.addColumn("agent_unresponsive_at_pause", "integer", (column) => column.notNull().defaultTo(0))
		.execute();
	await db.schema.alterTable("sandboxes").addColumn("pause_mode", "text").execute();
	await sql`update sandboxes set pause_mode = 'full' where state in ('paused', 'resuming')`.execute(db);
}
