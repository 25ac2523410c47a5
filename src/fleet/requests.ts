/** Requests that may be repeated: under which key they came, what was asked for, and what they make. */
import type { Kysely } from "kysely";
import { writeTime } from "./columns.ts";
import type { Schema } from "./schema.ts";

export interface RepeatableRequest {
	readonly teamId: string;
	readonly key: string;
	/** Digest of what was asked for. */
	readonly fingerprint: string;
	/** Id of the sandbox or build that exists when the request has succeeded. */
	readonly resultId: string;
	readonly createdAt: Date;
}

export class RequestRepository {
	readonly #db: Kysely<Schema>;

	constructor(db: Kysely<Schema>) {
		this.#db = db;
	}

	/** @throws when the team has used the key already */
	async insert(request: RepeatableRequest): Promise<void> {
		await this.#db
			.insertInto("repeatable_requests")
			.values({
				team_id: request.teamId,
				key: request.key,
				fingerprint: request.fingerprint,
				result_id: request.resultId,
				created_at: writeTime(request.createdAt),
			})
			.execute();
	}

	async find(teamId: string, key: string): Promise<Pick<RepeatableRequest, "fingerprint" | "resultId"> | undefined> {
		const row = await this.#db
			.selectFrom("repeatable_requests")
			.select(["fingerprint", "result_id"])
			.where("team_id", "=", teamId)
			.where("key", "=", key)
			.executeTakeFirst();
		return row && { fingerprint: row.fingerprint, resultId: row.result_id };
	}

	/** Frees the key, if it still stands for this result. */
	async remove(request: Pick<RepeatableRequest, "teamId" | "key" | "resultId">): Promise<void> {
		await this.#db
			.deleteFrom("repeatable_requests")
			.where("team_id", "=", request.teamId)
			.where("key", "=", request.key)
			.where("result_id", "=", request.resultId)
			.execute();
	}

	/** Forgets keys that were first used before the time given. */
	async prune(before: Date): Promise<void> {
		await this.#db.deleteFrom("repeatable_requests").where("created_at", "<", writeTime(before)).execute();
	}
}
