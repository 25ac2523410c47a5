import type { Kysely } from "kysely";

/** Repeatable requests, logs of sandboxes, how often a template was used, and keys that stay revoked. */
export async function up(db: Kysely<unknown>): Promise<void> {
	await db.schema
		.createTable("repeatable_requests")
		.addColumn("team_id", "text", (column) => column.notNull().references("teams.id"))
		.addColumn("key", "text", (column) => column.notNull())
		.addColumn("fingerprint", "text", (column) => column.notNull())
		.addColumn("result_id", "text", (column) => column.notNull())
		.addColumn("created_at", "text", (column) => column.notNull())
		.addPrimaryKeyConstraint("repeatable_requests_pk", ["team_id", "key"])
		.execute();
	await db.schema.createIndex("repeatable_requests_age").on("repeatable_requests").column("created_at").execute();
	await db.schema
		.createTable("sandbox_logs")
		.addColumn("sandbox_id", "text", (column) => column.notNull().references("sandboxes.id").onDelete("cascade"))
		.addColumn("seq", "integer", (column) => column.notNull())
		.addColumn("at_ms", "bigint", (column) => column.notNull())
		.addColumn("level", "text", (column) => column.notNull())
		.addColumn("logger", "text", (column) => column.notNull())
		.addColumn("message", "text", (column) => column.notNull())
		.addPrimaryKeyConstraint("sandbox_logs_pk", ["sandbox_id", "seq"])
		.execute();
	await db.schema
		.alterTable("templates")
		.addColumn("spawn_count", "integer", (column) => column.notNull().defaultTo(0))
		.execute();
	await db.schema.alterTable("templates").addColumn("last_spawned_at", "text").execute();
	await db.schema.alterTable("api_keys").addColumn("revoked_at", "text").execute();
}
