/** API keys. Only a digest is stored: a key has 160 random bits, so a plain sha256 of it can't be turned back. */
import { createHash, randomUUID } from "node:crypto";
import type { Kysely, Selectable } from "kysely";
import { newApiKey } from "../protocol/index.ts";
import { readOptionalTime, readTime, writeTime } from "./columns.ts";
import type { ApiKeyRecord } from "./records.ts";
import type { ApiKeysTable, Schema } from "./schema.ts";

/** The time of last use is kept to this precision, so that not every request writes. */
const USE_PRECISION_MS = 60_000;

const KEY_PREFIX = "e2b_";

export class KeyRepository {
	readonly #db: Kysely<Schema>;

	constructor(db: Kysely<Schema>) {
		this.#db = db;
	}

	/** Makes a key. `key` is the only time it can be seen. */
	async create(of: { readonly teamId: string; readonly name: string }): Promise<ApiKeyRecord & { readonly key: string }> {
		const key = newApiKey();
		return { ...(await this.#insert(key, of)), key };
	}

	/**
	 * Makes sure that a key which exists elsewhere (in the data directory's key file) is known.
	 * @returns false when it was revoked, which it stays
	 */
	async ensure(key: string, of: { readonly teamId: string; readonly name: string }): Promise<boolean> {
		const known = await this.#db.selectFrom("api_keys").select("revoked_at").where("hash", "=", digest(key)).executeTakeFirst();
		if (known) return known.revoked_at === null;
		await this.#insert(key, of);
		return true;
	}

	async #insert(key: string, of: { readonly teamId: string; readonly name: string }): Promise<ApiKeyRecord> {
		const value = key.slice(KEY_PREFIX.length);
		const row: ApiKeysTable = {
			id: randomUUID(),
			team_id: of.teamId,
			name: of.name,
			hash: digest(key),
			prefix: KEY_PREFIX,
			value_length: value.length,
			masked_prefix: value.slice(0, 2),
			masked_suffix: value.slice(-4),
			created_at: writeTime(new Date()),
			first_used_at: null,
			last_used_at: null,
			revoked_at: null,
		};
		await this.#db.insertInto("api_keys").values(row).execute();
		return toKey(row);
	}

	/** The key with this value; undefined for an unknown or revoked one. */
	async find(key: string): Promise<ApiKeyRecord | undefined> {
		const row = await this.#db
			.selectFrom("api_keys")
			.selectAll()
			.where("hash", "=", digest(key))
			.where("revoked_at", "is", null)
			.executeTakeFirst();
		return row && toKey(row);
	}

	/** Notes that the key was used; writes at most once a minute. */
	async touch(record: ApiKeyRecord, now: Date): Promise<void> {
		if (record.lastUsedAt && now.getTime() - record.lastUsedAt.getTime() < USE_PRECISION_MS) return;
		const time = writeTime(now);
		await this.#db
			.updateTable("api_keys")
			.set((eb) => ({ last_used_at: time, first_used_at: eb.fn.coalesce("first_used_at", eb.val(time)) }))
			.where("id", "=", record.id)
			.execute();
	}

	async list(teamId: string): Promise<readonly ApiKeyRecord[]> {
		const rows = await this.#db
			.selectFrom("api_keys")
			.selectAll()
			.where("team_id", "=", teamId)
			.where("revoked_at", "is", null)
			.orderBy("created_at")
			.orderBy("id")
			.execute();
		return rows.map(toKey);
	}

	/** @returns undefined when the team has no such key */
	async rename(teamId: string, id: string, name: string): Promise<ApiKeyRecord | undefined> {
		const row = await this.#db
			.updateTable("api_keys")
			.set({ name })
			.where("id", "=", id)
			.where("team_id", "=", teamId)
			.where("revoked_at", "is", null)
			.returningAll()
			.executeTakeFirst();
		return row && toKey(row);
	}

	/** @returns false when the team has no such key */
	async revoke(teamId: string, id: string, at: Date): Promise<boolean> {
		const result = await this.#db
			.updateTable("api_keys")
			.set({ revoked_at: writeTime(at) })
			.where("id", "=", id)
			.where("team_id", "=", teamId)
			.where("revoked_at", "is", null)
			.executeTakeFirst();
		return result.numUpdatedRows > 0n;
	}
}

function digest(key: string): string {
	return createHash("sha256").update(key).digest("hex");
}

function toKey(row: Selectable<ApiKeysTable>): ApiKeyRecord {
	return {
		id: row.id,
		teamId: row.team_id,
		name: row.name,
		mask: {
			prefix: row.prefix,
			valueLength: row.value_length,
			maskedValuePrefix: row.masked_prefix,
			maskedValueSuffix: row.masked_suffix,
		},
		createdAt: readTime(row.created_at),
		firstUsedAt: readOptionalTime(row.first_used_at),
		lastUsedAt: readOptionalTime(row.last_used_at),
	};
}
