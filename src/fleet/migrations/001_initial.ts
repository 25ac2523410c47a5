import { type Kysely, sql } from "kysely";

/** Teams and keys, templates with builds and tags, sandboxes. */
export async function up(db: Kysely<unknown>): Promise<void> {
	await createTeams(db);
	await createTemplates(db);
	await createSandboxes(db);
}

async function createTeams(db: Kysely<unknown>): Promise<void> {
	await db.schema
		.createTable("teams")
		.addColumn("id", "text", (column) => column.primaryKey())
		.addColumn("slug", "text", (column) => column.notNull().unique())
		.addColumn("name", "text", (column) => column.notNull())
		.addColumn("created_at", "text", (column) => column.notNull())
		.execute();
	await db.schema
		.createTable("api_keys")
		.addColumn("id", "text", (column) => column.primaryKey())
		.addColumn("team_id", "text", (column) => column.notNull().references("teams.id"))
		.addColumn("name", "text", (column) => column.notNull())
		.addColumn("hash", "text", (column) => column.notNull().unique())
		.addColumn("prefix", "text", (column) => column.notNull())
		.addColumn("value_length", "integer", (column) => column.notNull())
		.addColumn("masked_prefix", "text", (column) => column.notNull())
		.addColumn("masked_suffix", "text", (column) => column.notNull())
		.addColumn("created_at", "text", (column) => column.notNull())
		.addColumn("first_used_at", "text")
		.addColumn("last_used_at", "text")
		.execute();
}

async function createTemplates(db: Kysely<unknown>): Promise<void> {
	await db.schema
		.createTable("templates")
		.addColumn("id", "text", (column) => column.primaryKey())
		.addColumn("team_id", "text", (column) => column.references("teams.id"))
		.addColumn("kind", "text", (column) => column.notNull().check(sql`kind in ('template', 'snapshot')`))
		.addColumn("public", "integer", (column) => column.notNull())
		.addColumn("source_sandbox_id", "text")
		.addColumn("created_at", "text", (column) => column.notNull())
		.addColumn("updated_at", "text", (column) => column.notNull())
		.addColumn("deleted_at", "text")
		.execute();
	await db.schema
		.createTable("aliases")
		.addColumn("namespace", "text", (column) => column.notNull())
		.addColumn("alias", "text", (column) => column.notNull())
		.addColumn("template_id", "text", (column) => column.notNull().references("templates.id"))
		.addColumn("created_at", "text", (column) => column.notNull())
		.addPrimaryKeyConstraint("aliases_pk", ["namespace", "alias"])
		.execute();
	await db.schema.createIndex("aliases_template").on("aliases").column("template_id").execute();
	await db.schema
		.createTable("builds")
		.addColumn("id", "text", (column) => column.primaryKey())
		.addColumn("template_id", "text", (column) => column.references("templates.id"))
		.addColumn("kind", "text", (column) => column.notNull().check(sql`kind in ('template', 'snapshot', 'pause')`))
		.addColumn("status", "text", (column) => column.notNull())
		.addColumn("cpu_count", "integer", (column) => column.notNull())
		.addColumn("memory_mb", "integer", (column) => column.notNull())
		.addColumn("disk_size_mb", "integer", (column) => column.notNull())
		.addColumn("envd_version", "text", (column) => column.notNull())
		.addColumn("parent_build_id", "text")
		.addColumn("source_sandbox_id", "text")
		.addColumn("rootfs_id", "text", (column) => column.notNull())
		.addColumn("size_bytes", "bigint", (column) => column.notNull())
		.addColumn("pause_ms", "double precision", (column) => column.notNull())
		.addColumn("engine_version", "text", (column) => column.notNull())
		.addColumn("envs", "text", (column) => column.notNull())
		.addColumn("created_at", "text", (column) => column.notNull())
		.addColumn("deleted_at", "text")
		.execute();
	await db.schema.createIndex("builds_template").on("builds").column("template_id").execute();
	await db.schema.createIndex("builds_source").on("builds").column("source_sandbox_id").execute();
	await db.schema
		.createTable("tags")
		.addColumn("template_id", "text", (column) => column.notNull().references("templates.id"))
		.addColumn("tag", "text", (column) => column.notNull())
		.addColumn("build_id", "text", (column) => column.notNull().references("builds.id"))
		.addColumn("created_at", "text", (column) => column.notNull())
		.addPrimaryKeyConstraint("tags_pk", ["template_id", "tag"])
		.execute();
	await db.schema.createIndex("tags_build").on("tags").column("build_id").execute();
}

async function createSandboxes(db: Kysely<unknown>): Promise<void> {
	const states = sql`state in ('starting', 'running', 'snapshotting', 'pausing', 'paused', 'resuming', 'ended')`;
	await db.schema
		.createTable("sandboxes")
		.addColumn("id", "text", (column) => column.primaryKey())
		.addColumn("team_id", "text", (column) => column.notNull().references("teams.id"))
		.addColumn("template_id", "text", (column) => column.notNull().references("templates.id"))
		.addColumn("artifact_id", "text", (column) => column.notNull().references("builds.id"))
		.addColumn("state", "text", (column) => column.notNull().check(states))
		.addColumn("incarnation", "integer", (column) => column.notNull())
		.addColumn("operation_id", "text")
		.addColumn("pending_artifact_id", "text")
		.addColumn("pause_artifact_id", "text", (column) => column.references("builds.id"))
		.addColumn("node_id", "text", (column) => column.notNull())
		.addColumn("address", "text")
		.addColumn("access_token", "text")
		.addColumn("traffic_token", "text")
		.addColumn("envd_version", "text", (column) => column.notNull())
		.addColumn("cpu_count", "integer", (column) => column.notNull())
		.addColumn("memory_mb", "integer", (column) => column.notNull())
		.addColumn("disk_size_mb", "integer", (column) => column.notNull())
		.addColumn("envs", "text", (column) => column.notNull())
		.addColumn("metadata", "text", (column) => column.notNull())
		.addColumn("network", "text")
		.addColumn("allow_internet_access", "integer")
		.addColumn("on_timeout", "text", (column) => column.notNull().check(sql`on_timeout in ('kill', 'pause')`))
		.addColumn("auto_resume", "integer", (column) => column.notNull())
		.addColumn("timeout_seconds", "integer", (column) => column.notNull())
		.addColumn("created_at", "text", (column) => column.notNull())
		.addColumn("started_at", "text", (column) => column.notNull())
		.addColumn("end_at", "text", (column) => column.notNull())
		.addColumn("ended_at", "text")
		.addColumn("end_reason", "text")
		.addColumn("revision", "integer", (column) => column.notNull())
		.execute();
	await db.schema.createIndex("sandboxes_list").on("sandboxes").columns(["team_id", "state", "started_at", "id"]).execute();
	await db.schema.createIndex("sandboxes_template").on("sandboxes").columns(["template_id", "state"]).execute();
	await db.schema.createIndex("sandboxes_artifact").on("sandboxes").columns(["artifact_id", "state"]).execute();
	await db.schema.createIndex("sandboxes_ended").on("sandboxes").column("ended_at").execute();
	await db.schema
		.createTable("sandbox_metadata")
		.addColumn("sandbox_id", "text", (column) => column.notNull().references("sandboxes.id").onDelete("cascade"))
		.addColumn("key", "text", (column) => column.notNull())
		.addColumn("value", "text", (column) => column.notNull())
		.addPrimaryKeyConstraint("sandbox_metadata_pk", ["sandbox_id", "key"])
		.execute();
	await db.schema.createIndex("sandbox_metadata_pair").on("sandbox_metadata").columns(["key", "value"]).execute();
}
