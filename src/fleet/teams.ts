import { randomUUID } from "node:crypto";
import type { Kysely, Selectable } from "kysely";
import { readTime, writeTime } from "./columns.ts";
import type { TeamLimitsChange, TeamRecord } from "./records.ts";
import type { Schema, TeamsTable } from "./schema.ts";

export class TeamRepository {
	readonly #db: Kysely<Schema>;

	constructor(db: Kysely<Schema>) {
		this.#db = db;
	}

	/** @throws when the slug is taken */
	async create(team: { readonly slug: string; readonly name: string }): Promise<TeamRecord> {
		const row: TeamsTable = {
			id: randomUUID(),
			slug: team.slug,
			name: team.name,
			created_at: writeTime(new Date()),
			max_sandboxes: null,
			max_timeout_seconds: null,
		};
		await this.#db.insertInto("teams").values(row).execute();
		return toTeam(row);
	}

	async get(id: string): Promise<TeamRecord | undefined> {
		const row = await this.#db.selectFrom("teams").selectAll().where("id", "=", id).executeTakeFirst();
		return row && toTeam(row);
	}

	async bySlug(slug: string): Promise<TeamRecord | undefined> {
		const row = await this.#db.selectFrom("teams").selectAll().where("slug", "=", slug).executeTakeFirst();
		return row && toTeam(row);
	}

	/** @returns undefined when there is no such team */
	async setLimits(id: string, { maxSandboxes, maxTimeoutSeconds }: TeamLimitsChange): Promise<TeamRecord | undefined> {
		const columns = {
			...(maxSandboxes !== undefined && { max_sandboxes: maxSandboxes }),
			...(maxTimeoutSeconds !== undefined && { max_timeout_seconds: maxTimeoutSeconds }),
		};
		if (Object.keys(columns).length > 0) await this.#db.updateTable("teams").set(columns).where("id", "=", id).execute();
		return this.get(id);
	}

	/** Oldest first. */
	async list(): Promise<readonly TeamRecord[]> {
		const rows = await this.#db.selectFrom("teams").selectAll().orderBy("created_at").orderBy("id").execute();
		return rows.map(toTeam);
	}

	/** The team that a fresh database starts with. */
	async first(): Promise<TeamRecord | undefined> {
		const row = await this.#db.selectFrom("teams").selectAll().orderBy("created_at").orderBy("id").limit(1).executeTakeFirst();
		return row && toTeam(row);
	}
}

function toTeam(row: Selectable<TeamsTable>): TeamRecord {
	return {
		id: row.id,
		slug: row.slug,
		name: row.name,
		createdAt: readTime(row.created_at),
		limits: { maxSandboxes: row.max_sandboxes ?? undefined, maxTimeoutSeconds: row.max_timeout_seconds ?? undefined },
	};
}
