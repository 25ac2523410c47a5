/** Templates, their names and tags. A snapshot is a template too: one whose builds were captured from a sandbox. */
import { randomUUID } from "node:crypto";
import type { Kysely, Selectable } from "kysely";
import { readOptionalTime, readTime, readWord, writeFlag, writeTime } from "./columns.ts";
import type { TemplateRecord } from "./records.ts";
import type { Schema, TemplatesTable } from "./schema.ts";

export type NewTemplate = Pick<TemplateRecord, "id" | "teamId" | "kind" | "public" | "sourceSandboxId" | "createdAt">;

export interface AliasRecord {
	/** Empty for the platform's own names. */
	readonly namespace: string;
	readonly alias: string;
}

export class TemplateRepository {
	readonly #db: Kysely<Schema>;

	constructor(db: Kysely<Schema>) {
		this.#db = db;
	}

	async insert(template: NewTemplate): Promise<void> {
		await this.#db
			.insertInto("templates")
			.values({
				id: template.id,
				team_id: template.teamId ?? null,
				kind: template.kind,
				public: writeFlag(template.public),
				source_sandbox_id: template.sourceSandboxId ?? null,
				created_at: writeTime(template.createdAt),
				updated_at: writeTime(template.createdAt),
				deleted_at: null,
				spawn_count: 0,
				last_spawned_at: null,
			})
			.execute();
	}

	/** A living template. */
	async get(id: string): Promise<TemplateRecord | undefined> {
		const row = await this.#db
			.selectFrom("templates")
			.selectAll()
			.where("id", "=", id)
			.where("deleted_at", "is", null)
			.executeTakeFirst();
		return row && toTemplate(row);
	}

	/** @param namespace slug of a team, or empty for the platform's own names */
	async byAlias(namespace: string, alias: string): Promise<TemplateRecord | undefined> {
		const row = await this.#db
			.selectFrom("aliases")
			.innerJoin("templates", "templates.id", "aliases.template_id")
			.selectAll("templates")
			.where("aliases.namespace", "=", namespace)
			.where("aliases.alias", "=", alias)
			.where("templates.deleted_at", "is", null)
			.executeTakeFirst();
		return row && toTemplate(row);
	}

	async addAlias(alias: AliasRecord & { readonly templateId: string; readonly createdAt: Date }): Promise<void> {
		await this.#db
			.insertInto("aliases")
			.values({
				namespace: alias.namespace,
				alias: alias.alias,
				template_id: alias.templateId,
				created_at: writeTime(alias.createdAt),
			})
			.execute();
	}

	/** The oldest name of each of the templates that has one. */
	async firstAliases(templateIds: readonly string[]): Promise<ReadonlyMap<string, AliasRecord>> {
		const found = new Map<string, AliasRecord>();
		if (templateIds.length === 0) return found;
		const rows = await this.#db
			.selectFrom("aliases")
			.select(["template_id", "namespace", "alias"])
			.where("template_id", "in", [...new Set(templateIds)])
			.orderBy("created_at", "desc")
			.orderBy("alias", "desc")
			.execute();
		for (const row of rows) found.set(row.template_id, { namespace: row.namespace, alias: row.alias });
		return found;
	}

	/** Points the tag at the build, whether it existed or not; its history gets a line. */
	async moveTag(tag: {
		readonly templateId: string;
		readonly tag: string;
		readonly buildId: string;
		readonly at: Date;
	}): Promise<void> {
		const row = { template_id: tag.templateId, tag: tag.tag, build_id: tag.buildId, created_at: writeTime(tag.at) };
		await this.#db
			.insertInto("tags")
			.values(row)
			.onConflict((conflict) =>
				conflict.columns(["template_id", "tag"]).doUpdateSet({ build_id: row.build_id, created_at: row.created_at }),
			)
			.execute();
		const { template_id, build_id, created_at: assigned_at } = row;
		await this.#db
			.insertInto("tag_assignments")
			.values({ id: randomUUID(), template_id, tag: tag.tag, build_id, assigned_at })
			.execute();
		await this.#db
			.updateTable("templates")
			.set({ updated_at: writeTime(tag.at) })
			.where("id", "=", tag.templateId)
			.execute();
	}

	/** Makes the template a tombstone without names, tags and builds. @returns ids of the artifacts it had */
	async bury(id: string, at: Date): Promise<readonly string[]> {
		const deletedAt = writeTime(at);
		await this.#db.deleteFrom("aliases").where("template_id", "=", id).execute();
		await this.#db.deleteFrom("tags").where("template_id", "=", id).execute();
		await this.#db.deleteFrom("tag_assignments").where("template_id", "=", id).execute();
		await this.#db.updateTable("templates").set({ deleted_at: deletedAt }).where("id", "=", id).execute();
		const builds = await this.#db
			.updateTable("builds")
			.set({ deleted_at: deletedAt })
			.where("template_id", "=", id)
			.where("deleted_at", "is", null)
			.returning("id")
			.execute();
		return builds.map((build) => build.id);
	}
}

export function toTemplate(row: Selectable<TemplatesTable>): TemplateRecord {
	return {
		id: row.id,
		teamId: row.team_id ?? undefined,
		kind: readWord(["template", "snapshot"], row.kind, "templates.kind"),
		public: row.public === 1,
		sourceSandboxId: row.source_sandbox_id ?? undefined,
		createdAt: readTime(row.created_at),
		updatedAt: readTime(row.updated_at),
		deletedAt: readOptionalTime(row.deleted_at),
	};
}
