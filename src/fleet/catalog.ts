/** Templates as they are shown and listed: with their builds, tags and how often they were used. */
import type { Kysely } from "kysely";
import { toBuild } from "./builds.ts";
import { readOptionalTime, readTime, writeFlag, writeTime } from "./columns.ts";
import type { BuildRecord, TemplateRecord } from "./records.ts";
import type { Schema } from "./schema.ts";
import { type AliasRecord, toTemplate } from "./templates.ts";

/** A template with what a list shows of it. */
export interface TemplateSummary {
	readonly template: TemplateRecord;
	readonly spawnCount: number;
	readonly lastSpawnedAt: Date | undefined;
	readonly buildCount: number;
	/** Oldest name first. */
	readonly aliases: readonly AliasRecord[];
	/** The build of the default tag, or else the newest. */
	readonly build: BuildRecord;
}

export interface TagRecord {
	readonly tag: string;
	readonly buildId: string;
	readonly createdAt: Date;
}

/** Position in a list that is ordered newest first. */
export interface CatalogPosition {
	readonly createdAt: Date;
	readonly id: string;
}

/** Who may start sandboxes from a template: every team, or its owner alone. */
export type Visibility = "public" | "private";

interface PageQuery {
	readonly limit: number;
	readonly after: CatalogPosition | undefined;
}

export class CatalogRepository {
	readonly #db: Kysely<Schema>;

	constructor(db: Kysely<Schema>) {
		this.#db = db;
	}

	/**
	 * Templates of the team and of the platform that have a living build, newest first; snapshots are none of them.
	 * @param query.teamId undefined: the platform's alone
	 */
	async list({ teamId, limit, after }: PageQuery & { readonly teamId: string | undefined }): Promise<readonly TemplateSummary[]> {
		const rows = await this.#db
			.selectFrom("templates")
			.select("id")
			.where("kind", "=", "template")
			.where("deleted_at", "is", null)
			.where((eb) => eb.or([eb("team_id", "is", null), ...(teamId === undefined ? [] : [eb("team_id", "=", teamId)])]))
			.where(({ exists, selectFrom }) =>
				exists(
					selectFrom("builds")
						.select("builds.id")
						.whereRef("builds.template_id", "=", "templates.id")
						.where("builds.deleted_at", "is", null),
				),
			)
			.$if(after !== undefined, (select) =>
				select.where((eb) =>
					eb(eb.refTuple("created_at", "id"), "<", eb.tuple(writeTime(after?.createdAt ?? new Date(0)), after?.id ?? "")),
				),
			)
			.orderBy("created_at", "desc")
			.orderBy("id", "desc")
			.limit(limit)
			.execute();
		const summaries = await Promise.all(rows.map((row) => this.summary(row.id)));
		return summaries.filter((summary) => summary !== undefined);
	}

	/** Undefined when there is no such living template, or none of its builds lives. */
	async summary(templateId: string): Promise<TemplateSummary | undefined> {
		const row = await this.#db
			.selectFrom("templates")
			.selectAll()
			.where("id", "=", templateId)
			.where("deleted_at", "is", null)
			.executeTakeFirst();
		const [build] = await this.#currentBuild(templateId);
		if (!row || !build) return undefined;
		const aliases = await this.#db
			.selectFrom("aliases")
			.select(["namespace", "alias"])
			.where("template_id", "=", templateId)
			.orderBy("created_at")
			.orderBy("alias")
			.execute();
		const count = await this.#living(templateId)
			.select((eb) => eb.fn.countAll().as("total"))
			.executeTakeFirstOrThrow();
		return {
			template: toTemplate(row),
			spawnCount: row.spawn_count,
			lastSpawnedAt: readOptionalTime(row.last_spawned_at),
			buildCount: Number(count.total),
			aliases,
			build,
		};
	}

	async #currentBuild(templateId: string): Promise<readonly BuildRecord[]> {
		const rows = await this.#living(templateId)
			.leftJoin("tags", (join) => join.onRef("tags.build_id", "=", "builds.id").on("tags.tag", "=", "default"))
			.selectAll("builds")
			.orderBy((eb) => eb.case().when("tags.tag", "is", null).then(1).else(0).end())
			.orderBy("builds.created_at", "desc")
			.limit(1)
			.execute();
		return rows.map(toBuild);
	}

	/** Living builds, newest first. */
	async builds({ templateId, limit, after }: PageQuery & { readonly templateId: string }): Promise<readonly BuildRecord[]> {
		const rows = await this.#living(templateId)
			.selectAll("builds")
			.$if(after !== undefined, (select) =>
				select.where((eb) =>
					eb(
						eb.refTuple("builds.created_at", "builds.id"),
						"<",
						eb.tuple(writeTime(after?.createdAt ?? new Date(0)), after?.id ?? ""),
					),
				),
			)
			.orderBy("builds.created_at", "desc")
			.orderBy("builds.id", "desc")
			.limit(limit)
			.execute();
		return rows.map(toBuild);
	}

	/** Newest first. */
	async tags(templateId: string): Promise<readonly TagRecord[]> {
		const rows = await this.#db
			.selectFrom("tags")
			.innerJoin("builds", "builds.id", "tags.build_id")
			.select(["tags.tag", "tags.build_id", "tags.created_at"])
			.where("tags.template_id", "=", templateId)
			.where("builds.deleted_at", "is", null)
			.orderBy("tags.created_at", "desc")
			.orderBy("tags.tag")
			.execute();
		return rows.map((row) => ({ tag: row.tag, buildId: row.build_id, createdAt: readTime(row.created_at) }));
	}

	/** Their history goes with them. @returns how many of them there were */
	async removeTags(templateId: string, tags: readonly string[]): Promise<number> {
		const result = await this.#db
			.deleteFrom("tags")
			.where("template_id", "=", templateId)
			.where("tag", "in", [...tags])
			.executeTakeFirst();
		await this.#db
			.deleteFrom("tag_assignments")
			.where("template_id", "=", templateId)
			.where("tag", "in", [...tags])
			.execute();
		return Number(result.numDeletedRows);
	}

	async setVisibility(templateId: string, visibility: Visibility, at: Date): Promise<void> {
		await this.#db
			.updateTable("templates")
			.set({ public: writeFlag(visibility === "public"), updated_at: writeTime(at) })
			.where("id", "=", templateId)
			.execute();
	}

	/** Counts a sandbox that is started from the template. */
	async noteSpawn(templateId: string, at: Date): Promise<void> {
		await this.#db
			.updateTable("templates")
			.set((eb) => ({ spawn_count: eb("spawn_count", "+", 1), last_spawned_at: writeTime(at) }))
			.where("id", "=", templateId)
			.execute();
	}

	#living(templateId: string) {
		return this.#db.selectFrom("builds").where("builds.template_id", "=", templateId).where("builds.deleted_at", "is", null);
	}
}
