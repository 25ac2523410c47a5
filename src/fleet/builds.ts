/** Builds, which are artifacts: of templates, snapshots, and the images of paused sandboxes. */
import type { Kysely, Selectable } from "kysely";
import { readOptionalTime, readStringMap, readTime, readWord, writeFlag, writeTime } from "./columns.ts";
import type { BuildRecord } from "./records.ts";
import type { BuildsTable, Schema } from "./schema.ts";

export type NewBuild = Omit<BuildRecord, "status" | "deletedAt">;

/** One entry of the snapshot list: a tag of a snapshot and the build it points at. */
export interface SnapshotRecord {
	readonly tag: string;
	readonly templateId: string;
	readonly build: BuildRecord;
}

export interface SnapshotQuery {
	readonly teamId: string;
	readonly sourceSandboxId: string | undefined;
	readonly templateId: string | undefined;
	readonly tag: string | undefined;
	readonly limit: number;
	/** Only entries after this one in the order of the list. */
	readonly after: { readonly createdAt: Date; readonly templateId: string; readonly tag: string } | undefined;
}

export class BuildRepository {
	readonly #db: Kysely<Schema>;

	constructor(db: Kysely<Schema>) {
		this.#db = db;
	}

	async insert(build: NewBuild): Promise<void> {
		await this.#db
			.insertInto("builds")
			.values({
				id: build.id,
				template_id: build.templateId ?? null,
				kind: build.kind,
				status: "ready",
				cpu_count: build.resources.cpuCount,
				memory_mb: build.resources.memoryMB,
				disk_size_mb: build.resources.diskSizeMB,
				envd_version: build.envdVersion,
				parent_build_id: build.parentBuildId ?? null,
				source_sandbox_id: build.sourceSandboxId ?? null,
				rootfs_id: build.rootfsId,
				size_bytes: build.sizeBytes,
				memory: writeFlag(build.memory),
				pause_ms: build.pauseMs,
				engine_version: build.engineVersion,
				envs: JSON.stringify(build.envs),
				created_at: writeTime(build.createdAt),
				deleted_at: null,
			})
			.execute();
	}

	/** A build, also one whose artifact was deleted. */
	async get(id: string): Promise<BuildRecord | undefined> {
		const row = await this.#db.selectFrom("builds").selectAll().where("id", "=", id).executeTakeFirst();
		return row && toBuild(row);
	}

	/** The living build that a tag points at. */
	async byTag(templateId: string, tag: string): Promise<BuildRecord | undefined> {
		const row = await this.#db
			.selectFrom("tags")
			.innerJoin("builds", "builds.id", "tags.build_id")
			.selectAll("builds")
			.where("tags.template_id", "=", templateId)
			.where("tags.tag", "=", tag)
			.where("builds.deleted_at", "is", null)
			.executeTakeFirst();
		return row && toBuild(row);
	}

	/** Ids of all artifacts that must be kept. */
	async livingIds(): Promise<ReadonlySet<string>> {
		const rows = await this.#db.selectFrom("builds").select("id").where("deleted_at", "is", null).execute();
		return new Set(rows.map((row) => row.id));
	}

	/** Forgets the image of a paused sandbox; templates' builds are buried instead. */
	async remove(id: string): Promise<void> {
		await this.#db.deleteFrom("builds").where("id", "=", id).execute();
	}

	/** Living builds of the template that no tag points at and no living sandbox is based on. */
	async superseded(templateId: string): Promise<readonly string[]> {
		const rows = await this.#db
			.selectFrom("builds")
			.select("id")
			.where("template_id", "=", templateId)
			.where("deleted_at", "is", null)
			.where(({ not, exists, selectFrom }) =>
				not(exists(selectFrom("tags").select("tag").whereRef("tags.build_id", "=", "builds.id"))),
			)
			.where(({ not, exists, selectFrom }) =>
				not(
					exists(
						selectFrom("sandboxes")
							.select("sandboxes.id")
							.whereRef("sandboxes.artifact_id", "=", "builds.id")
							.where("sandboxes.state", "!=", "ended"),
					),
				),
			)
			.execute();
		return rows.map((row) => row.id);
	}

	/** Leaves a tombstone of the build. */
	async bury(id: string, at: Date): Promise<void> {
		await this.#db
			.updateTable("builds")
			.set({ deleted_at: writeTime(at) })
			.where("id", "=", id)
			.execute();
	}

	/** Snapshots of a team, newest first. */
	async listSnapshots(query: SnapshotQuery): Promise<readonly SnapshotRecord[]> {
		const { after } = query;
		const rows = await this.#db
			.selectFrom("tags")
			.innerJoin("builds", "builds.id", "tags.build_id")
			.innerJoin("templates", "templates.id", "tags.template_id")
			.selectAll("builds")
			.select(["tags.tag", "tags.template_id as tag_template_id"])
			.where("templates.team_id", "=", query.teamId)
			.where("templates.deleted_at", "is", null)
			.where("builds.kind", "=", "snapshot")
			.where("builds.deleted_at", "is", null)
			.$if(query.sourceSandboxId !== undefined, (select) =>
				select.where("builds.source_sandbox_id", "=", query.sourceSandboxId ?? null),
			)
			.$if(query.templateId !== undefined, (select) => select.where("tags.template_id", "=", query.templateId ?? ""))
			.$if(query.tag !== undefined, (select) => select.where("tags.tag", "=", query.tag ?? ""))
			.$if(after !== undefined, (select) =>
				select.where((eb) =>
					eb(
						eb.refTuple("builds.created_at", "tags.template_id", "tags.tag"),
						"<",
						eb.tuple(writeTime(after?.createdAt ?? new Date(0)), after?.templateId ?? "", after?.tag ?? ""),
					),
				),
			)
			.orderBy("builds.created_at", "desc")
			.orderBy("tags.template_id", "desc")
			.orderBy("tags.tag", "desc")
			.limit(query.limit)
			.execute();
		return rows.map((row) => ({ tag: row.tag, templateId: row.tag_template_id, build: toBuild(row) }));
	}

	/** Of each build that a tag points at, one such tag and whether its template is a snapshot. */
	async snapshotTags(
		buildIds: readonly string[],
	): Promise<ReadonlyMap<string, { readonly templateId: string; readonly tag: string }>> {
		const found = new Map<string, { templateId: string; tag: string }>();
		if (buildIds.length === 0) return found;
		const rows = await this.#db
			.selectFrom("builds")
			.leftJoin("tags", "tags.build_id", "builds.id")
			.select(["builds.id", "builds.template_id", "tags.tag"])
			.where("builds.id", "in", [...new Set(buildIds)])
			.where("builds.kind", "=", "snapshot")
			.orderBy("tags.tag", "desc")
			.execute();
		for (const row of rows) {
			if (row.template_id !== null) found.set(row.id, { templateId: row.template_id, tag: row.tag ?? "default" });
		}
		return found;
	}
}

export function toBuild(row: Selectable<BuildsTable>): BuildRecord {
	return {
		id: row.id,
		templateId: row.template_id ?? undefined,
		kind: readWord(["template", "snapshot", "pause"], row.kind, "builds.kind"),
		status: readWord(["ready"], row.status, "builds.status"),
		resources: { cpuCount: row.cpu_count, memoryMB: row.memory_mb, diskSizeMB: row.disk_size_mb },
		envdVersion: row.envd_version,
		parentBuildId: row.parent_build_id ?? undefined,
		sourceSandboxId: row.source_sandbox_id ?? undefined,
		rootfsId: row.rootfs_id,
		sizeBytes: row.size_bytes,
		memory: row.memory === 1,
		pauseMs: row.pause_ms,
		engineVersion: row.engine_version,
		envs: readStringMap(row.envs, "builds.envs"),
		createdAt: readTime(row.created_at),
		deletedAt: readOptionalTime(row.deleted_at),
	};
}
