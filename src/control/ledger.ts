/**
 * Every living sandbox in memory, as durable as the database: an entry changes only after its row did. The edge asks it
 * for every request. A kill removes the entry for good; a late copy of an older row can't bring it back.
 */
import type { Fleet, NetworkRecord, SandboxPatch, SandboxRecord } from "../fleet/index.ts";
import { OffshootError, sandboxNotFound } from "../protocol/index.ts";
import type { Team } from "./types.ts";

export interface Ending {
	/** For the operator and the sandbox's log. */
	readonly reason: string;
	readonly at: Date;
	readonly due?: Date;
}

/** Told after the fact, in the order of things. */
export interface LedgerWatcher {
	/** A living sandbox has a new state. */
	changed(before: SandboxRecord, after: SandboxRecord): void;
	ended(before: SandboxRecord, reason: string): void;
	/** A sandbox was never brought to life. */
	discarded(): void;
}

export class Ledger {
	readonly #fleet: Fleet;
	readonly #records = new Map<string, SandboxRecord>();
	readonly #watcher: LedgerWatcher;

	constructor(fleet: Fleet, watcher: LedgerWatcher) {
		this.#fleet = fleet;
		this.#watcher = watcher;
	}

	/** Reads all living rows; once, before anything else. */
	async load(): Promise<void> {
		for (const record of await this.#fleet.sandboxes.living()) this.#records.set(record.id, record);
	}

	get(sandboxId: string): SandboxRecord | undefined {
		return this.#records.get(sandboxId);
	}

	/** @throws OffshootError not_found, alike for sandboxes that don't exist and those of other teams */
	owned(team: Team, sandboxId: string): SandboxRecord {
		const record = this.#records.get(sandboxId);
		if (record?.teamId !== team.id) throw sandboxNotFound(sandboxId);
		return record;
	}

	all(): Iterable<SandboxRecord> {
		return this.#records.values();
	}

	/**
	 * Adds a sandbox that never existed before.
	 * @throws OffshootError not_found when its artifact was deleted meanwhile
	 */
	async add(record: SandboxRecord): Promise<void> {
		await this.#fleet.transaction(async ({ sandboxes, builds, catalog }) => {
			const build = await builds.get(record.artifactId);
			if (!build || build.deletedAt) throw new OffshootError("not_found", `template '${record.templateId}' not found`);
			await sandboxes.insert(record);
			await catalog.noteSpawn(record.templateId, record.createdAt);
		});
		this.#records.set(record.id, record);
	}

	/**
	 * Moves the sandbox on if its row is still as `from` says.
	 * @throws OffshootError not_found when it is not: only a kill can have taken it away from the running operation
	 */
	async move(from: SandboxRecord, patch: SandboxPatch): Promise<SandboxRecord> {
		const record = await this.#fleet.sandboxes.compareAndSet(from.id, from, patch);
		if (!record) throw sandboxNotFound(from.id);
		return this.accept(record);
	}

	/** @throws OffshootError not_found when that life of the sandbox is over */
	async setEnd(from: SandboxRecord, endAt: Date): Promise<SandboxRecord> {
		const record = await this.#fleet.sandboxes.setEnd(from.id, from.incarnation, endAt);
		if (!record) throw sandboxNotFound(from.id);
		return this.accept(record);
	}

	/** @throws OffshootError not_found when the sandbox does not run any more */
	async setNetwork(
		from: SandboxRecord,
		network: NetworkRecord | undefined,
		allowInternetAccess: boolean | undefined,
	): Promise<SandboxRecord> {
		const record = await this.#fleet.sandboxes.setNetwork(from.id, from.incarnation, { network, allowInternetAccess });
		if (!record) throw sandboxNotFound(from.id);
		return this.accept(record);
	}

	/** Takes over a row that a transaction of the caller has written. */
	accept(record: SandboxRecord): SandboxRecord {
		const known = this.#records.get(record.id);
		if (!known || known.revision >= record.revision) return record;
		this.#records.set(record.id, record);
		this.#watcher.changed(known, record);
		return record;
	}

	/**
	 * Ends a sandbox in whatever state it is, and forgets its pause image.
	 * @param ending.due when given, a sandbox whose time was extended beyond it is left alone
	 * @returns the sandbox as it was just before; undefined when it was left alone or had ended already
	 */
	async end(sandboxId: string, ending: Ending): Promise<SandboxRecord | undefined> {
		const before = await this.#fleet.transaction(async ({ sandboxes, builds }) => {
			const record = await sandboxes.get(sandboxId);
			if (!record || (ending.due && record.endAt > ending.due)) return undefined;
			if (!(await sandboxes.end(sandboxId, ending.reason, ending.at))) return undefined;
			if (record.pauseArtifactId) await builds.remove(record.pauseArtifactId);
			return record;
		});
		if (!before) return undefined;
		this.#records.delete(sandboxId);
		this.#watcher.ended(before, ending.reason);
		return before;
	}

	/** Removes a sandbox whose create was never acknowledged. */
	async discard(sandboxId: string): Promise<void> {
		await this.#fleet.sandboxes.discard(sandboxId);
		if (this.#records.delete(sandboxId)) this.#watcher.discarded();
	}
}
