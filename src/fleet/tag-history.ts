/** Where the tags of a template have pointed: each assignment of a build that still lives, newest first. */
import { type ExpressionBuilder, type Kysely, sql } from "kysely";
import { readTime, writeTime } from "./columns.ts";
import type { Schema } from "./schema.ts";

export interface TagAssignment {
	readonly id: string;
	readonly buildId: string;
	readonly assignedAt: Date;
	readonly buildCreatedAt: Date;
}

export const TAG_SORTS = ["latest_desc", "latest_asc", "name_asc", "name_desc"] as const;
/** By the newest assignment of each tag, or by name. */
export type TagSort = (typeof TAG_SORTS)[number];

/** A tag, and when it was last assigned. */
export interface AssignedTag {
	readonly tag: string;
	readonly latestAt: Date;
}

export interface AssignmentsQuery {
	readonly templateId: string;
	readonly tag: string;
	readonly limit: number;
	/** Those before this one. */
	readonly after: { readonly assignedAt: Date; readonly id: string } | undefined;
}

export interface AssignedTagsQuery {
	readonly templateId: string;
	/** Part of the tag's name. */
	readonly search: string | undefined;
	readonly sort: TagSort;
	readonly limit: number;
	/** Those behind this one, in the order of `sort`. */
	readonly after: AssignedTag | undefined;
}

export class TagHistoryRepository {
	readonly #db: Kysely<Schema>;

	constructor(db: Kysely<Schema>) {
		this.#db = db;
	}

	/** Of one tag, newest first. */
	async assignments({ templateId, tag, limit, after }: AssignmentsQuery): Promise<readonly TagAssignment[]> {
		const rows = await this.#living(templateId)
			.select(["tag_assignments.id", "tag_assignments.build_id", "tag_assignments.assigned_at", "builds.created_at"])
			.where("tag_assignments.tag", "=", tag)
			.$if(after !== undefined, (select) =>
				select.where((eb) =>
					eb(
						eb.refTuple("tag_assignments.assigned_at", "tag_assignments.id"),
						"<",
						eb.tuple(writeTime(after?.assignedAt ?? new Date(0)), after?.id ?? ""),
					),
				),
			)
			.orderBy("tag_assignments.assigned_at", "desc")
			.orderBy("tag_assignments.id", "desc")
			.limit(limit)
			.execute();
		return rows.map((row) => ({
			id: row.id,
			buildId: row.build_id,
			assignedAt: readTime(row.assigned_at),
			buildCreatedAt: readTime(row.created_at),
		}));
	}

	/** Tags that have an assignment. */
	async tags({ templateId, search, sort, limit, after }: AssignedTagsQuery): Promise<readonly AssignedTag[]> {
		const direction = sort.endsWith("_asc") ? "asc" : "desc";
		const byName = sort.startsWith("name_");
		const rows = await this.#living(templateId)
			.select(["tag_assignments.tag", latest])
			.$if(search !== undefined, (select) =>
				select.where(sql<boolean>`tag_assignments.tag like ${containing(search ?? "")} escape '\\'`),
			)
			.groupBy("tag_assignments.tag")
			.$if(after !== undefined, (select) => select.having(behind(after, byName, direction)))
			.$if(!byName, (select) => select.orderBy("latest_at", direction))
			.orderBy("tag_assignments.tag", direction)
			.limit(limit)
			.execute();
		return rows.map((row) => ({ tag: row.tag, latestAt: readTime(row.latest_at) }));
	}

	#living(templateId: string) {
		return this.#db
			.selectFrom("tag_assignments")
			.innerJoin("builds", "builds.id", "tag_assignments.build_id")
			.where("tag_assignments.template_id", "=", templateId)
			.where("builds.deleted_at", "is", null);
	}
}

function latest(eb: ExpressionBuilder<Schema, "tag_assignments">) {
	return eb.fn.max("tag_assignments.assigned_at").as("latest_at");
}

function behind(after: AssignedTag | undefined, byName: boolean, direction: "asc" | "desc") {
	const sign = sql.raw(direction === "asc" ? ">" : "<");
	const tag = after?.tag ?? "";
	if (byName) return sql<boolean>`tag_assignments.tag ${sign} ${tag}`;
	const time = writeTime(after?.latestAt ?? new Date(0));
	return sql<boolean>`(max(tag_assignments.assigned_at), tag_assignments.tag) ${sign} (${time}, ${tag})`;
}

/** A pattern in which nothing but its ends stands for other text. */
function containing(text: string): string {
	return `%${text.replaceAll(/[\\%_]/g, "\\$&")}%`;
}
