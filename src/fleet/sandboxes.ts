/**
 * Rows of sandboxes. Every change of state is a compare-and-set: it happens only if the row is still as the caller
 * believes, so two writers can never both win.
 */
import type { Kysely, Updateable } from "kysely";
import { writeFlag, writeTime } from "./columns.ts";
import type { SandboxRecord, SandboxRowState } from "./records.ts";
import { type SandboxPatch, toSandbox, toSandboxColumns, toSandboxRow } from "./sandbox-row.ts";
import type { SandboxesTable, Schema } from "./schema.ts";

/** What a row must still be for a compare-and-set to happen. */
export type Expected = Pick<SandboxRecord, "state" | "operationId" | "incarnation" | "nodeId">;

/** States shown as running, and those shown as paused. */
export interface SandboxQuery {
	readonly teamId: string;
	readonly states: readonly SandboxRowState[];
	/** All pairs must match. */
	readonly metadata: Readonly<Record<string, string>>;
	readonly startedAfter: Date | undefined;
	readonly templateId: string | undefined;
	readonly order: "asc" | "desc";
	readonly limit: number;
	/** Only rows after this one in the order of the list. */
	readonly after: { readonly startedAt: Date; readonly id: string } | undefined;
}

export type CountQuery = Omit<SandboxQuery, "order" | "limit" | "after">;

export class SandboxRepository {
	readonly #db: Kysely<Schema>;

	constructor(db: Kysely<Schema>) {
		this.#db = db;
	}

	/** Must run in a transaction: the metadata goes to a table of its own. */
	async insert(sandbox: SandboxRecord): Promise<void> {
		await this.#db.insertInto("sandboxes").values(toSandboxRow(sandbox)).execute();
		const pairs = Object.entries(sandbox.metadata);
		if (pairs.length === 0) return;
		await this.#db
			.insertInto("sandbox_metadata")
			.values(pairs.map(([key, value]) => ({ sandbox_id: sandbox.id, key, value })))
			.execute();
	}

	async get(id: string): Promise<SandboxRecord | undefined> {
		const row = await this.#db.selectFrom("sandboxes").selectAll().where("id", "=", id).executeTakeFirst();
		return row && toSandbox(row);
	}

	/** All that have not ended. */
	async living(): Promise<readonly SandboxRecord[]> {
		const rows = await this.#db.selectFrom("sandboxes").selectAll().where("state", "!=", "ended").execute();
		return rows.map(toSandbox);
	}

	/** @returns the row as it is now, or undefined when it was not as expected and nothing changed */
	async compareAndSet(id: string, expected: Expected, patch: SandboxPatch): Promise<SandboxRecord | undefined> {
		const operation = expected.operationId ?? null;
		const row = await this.#db
			.updateTable("sandboxes")
			.set(toSandboxColumns(patch))
			.set((eb) => ({ revision: eb("revision", "+", 1) }))
			.where("id", "=", id)
			.where("state", "=", expected.state)
			.where("operation_id", operation === null ? "is" : "=", operation)
			.where("incarnation", "=", expected.incarnation)
			.where("node_id", "=", expected.nodeId)
			.returningAll()
			.executeTakeFirst();
		return row && toSandbox(row);
	}

	/** Sets the end of a running life. @returns undefined when that life is over */
	async setEnd(id: string, incarnation: number, endAt: Date): Promise<SandboxRecord | undefined> {
		return this.#updateRunning(id, incarnation, { end_at: writeTime(endAt) });
	}

	/** Sets what a running sandbox may reach. @returns undefined when that life is over */
	async setNetwork(
		id: string,
		incarnation: number,
		{ network, allowInternetAccess }: Pick<SandboxRecord, "network" | "allowInternetAccess">,
	): Promise<SandboxRecord | undefined> {
		return this.#updateRunning(id, incarnation, {
			network: network === undefined ? null : JSON.stringify(network),
			allow_internet_access: allowInternetAccess === undefined ? null : writeFlag(allowInternetAccess),
		});
	}

	/** Changes a row only while that life of the sandbox goes on. */
	async #updateRunning(
		id: string,
		incarnation: number,
		change: Updateable<Pick<SandboxesTable, "end_at" | "network" | "allow_internet_access">>,
	): Promise<SandboxRecord | undefined> {
		const row = await this.#db
			.updateTable("sandboxes")
			.set(change)
			.set((eb) => ({ revision: eb("revision", "+", 1) }))
			.where("id", "=", id)
			.where("incarnation", "=", incarnation)
			.where("state", "in", ["running", "snapshotting"])
			.returningAll()
			.executeTakeFirst();
		return row && toSandbox(row);
	}

	/** Ends a row in whatever state it is. @returns undefined when it had ended already */
	async end(id: string, reason: string, at: Date): Promise<SandboxRecord | undefined> {
		const ended = toSandboxColumns({
			state: "ended",
			operationId: undefined,
			pendingArtifactId: undefined,
			pauseArtifactId: undefined,
			pauseMode: undefined,
			address: undefined,
			endedAt: at,
			endReason: reason,
		});
		const row = await this.#db
			.updateTable("sandboxes")
			.set(ended)
			.set((eb) => ({ revision: eb("revision", "+", 1) }))
			.where("id", "=", id)
			.where("state", "!=", "ended")
			.returningAll()
			.executeTakeFirst();
		return row && toSandbox(row);
	}

	/** Removes a row whose create was never acknowledged. @returns false when it is past that */
	async discard(id: string): Promise<boolean> {
		const result = await this.#db.deleteFrom("sandboxes").where("id", "=", id).where("state", "=", "starting").executeTakeFirst();
		return result.numDeletedRows > 0n;
	}

	/** True if a living sandbox, running or paused, is based on the template. */
	async isTemplateInUse(templateId: string): Promise<boolean> {
		const row = await this.#db
			.selectFrom("sandboxes")
			.select("id")
			.where("template_id", "=", templateId)
			.where("state", "!=", "ended")
			.limit(1)
			.executeTakeFirst();
		return row !== undefined;
	}

	/** By time of start, newest first unless `order` says otherwise; equal times by id. */
	async list(query: SandboxQuery): Promise<readonly SandboxRecord[]> {
		const { after, order } = query;
		const byId = order === "desc" ? "asc" : "desc";
		const rows = await this.#matching(query)
			.selectAll("sandboxes")
			.$if(after !== undefined, (select) =>
				select.where((eb) => {
					const time = writeTime(after?.startedAt ?? new Date(0));
					return eb.or([
						eb("started_at", order === "desc" ? "<" : ">", time),
						eb.and([eb("started_at", "=", time), eb("id", order === "desc" ? ">" : "<", after?.id ?? "")]),
					]);
				}),
			)
			.orderBy("started_at", order)
			.orderBy("id", byId)
			.limit(query.limit)
			.execute();
		return rows.map(toSandbox);
	}

	async count(query: CountQuery): Promise<number> {
		const row = await this.#matching(query)
			.select((eb) => eb.fn.countAll().as("total"))
			.executeTakeFirstOrThrow();
		return Number(row.total);
	}

	/** Removes rows that ended before the time given. */
	async prune(before: Date): Promise<void> {
		await this.#db.deleteFrom("sandboxes").where("state", "=", "ended").where("ended_at", "<", writeTime(before)).execute();
	}

	#matching(query: CountQuery) {
		let select = this.#db
			.selectFrom("sandboxes")
			.where("team_id", "=", query.teamId)
			.where("state", "in", [...query.states]);
		if (query.templateId !== undefined) select = select.where("template_id", "=", query.templateId);
		if (query.startedAfter !== undefined) select = select.where("started_at", ">=", writeTime(query.startedAfter));
		for (const [key, value] of Object.entries(query.metadata)) {
			select = select.where(({ exists, selectFrom }) =>
				exists(
					selectFrom("sandbox_metadata")
						.select("sandbox_metadata.key")
						.whereRef("sandbox_metadata.sandbox_id", "=", "sandboxes.id")
						.where("sandbox_metadata.key", "=", key)
						.where("sandbox_metadata.value", "=", value),
				),
			);
		}
		return select;
	}
}
