import { randomUUID } from "node:crypto";
import type { Kysely } from "kysely";

interface Tags {
	tags: { template_id: string; tag: string; build_id: string; created_at: string };
	tag_assignments: { id: string; template_id: string; tag: string; build_id: string; assigned_at: string };
}

/** Where each tag has pointed. What was there before is known as far as it points today. */
export async function up(db: Kysely<Tags>): Promise<void> {
	await db.schema
		.createTable("tag_assignments")
		.addColumn("id", "text", (column) => column.primaryKey())
		.addColumn("template_id", "text", (column) => column.notNull().references("templates.id"))
		.addColumn("tag", "text", (column) => column.notNull())
		.addColumn("build_id", "text", (column) => column.notNull().references("builds.id"))
		.addColumn("assigned_at", "text", (column) => column.notNull())
		.execute();
	await db.schema
		.createIndex("tag_assignments_age")
		.on("tag_assignments")
		.columns(["template_id", "tag", "assigned_at"])
		.execute();
	await db.schema.createIndex("tag_assignments_build").on("tag_assignments").column("build_id").execute();
	for (const { template_id, tag, build_id, created_at } of await db.selectFrom("tags").selectAll().execute()) {
		const row = { id: randomUUID(), template_id, tag, build_id, assigned_at: created_at };
		await db.insertInto("tag_assignments").values(row).execute();
	}
}
