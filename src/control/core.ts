/** What every part of control works with, and the few steps that all of them share. */
import type { Fleet, SandboxRecord } from "../fleet/index.ts";
import type { NodeClient, OrderKey } from "../node/index.ts";
import { hasCode } from "../protocol/index.ts";
import type { Chores } from "./chores.ts";
import type { Clock } from "./clock.ts";
import type { Ledger } from "./ledger.ts";
import type { TeamLimits } from "./limits.ts";
import type { Logger } from "./log.ts";
import type { Operation, Operations } from "./operations.ts";
import type { Placement } from "./placement.ts";
import type { Quota } from "./quota.ts";

export interface Gone {
	readonly sandboxId: string;
	readonly incarnation: number;
}

export interface Core {
	readonly fleet: Fleet;
	readonly node: NodeClient;
	readonly clock: Clock;
	readonly log: Logger;
	readonly limits: TeamLimits;
	readonly ledger: Ledger;
	readonly operations: Operations;
	readonly chores: Chores;
	readonly quota: Quota;
	readonly placement: Placement;
	/** Aborted when control has closed. */
	readonly lifetime: AbortSignal;
	/** Tells the listeners that an incarnation can't be reached any more; its new state must be visible by then. */
	announceGone(gone: Gone): void;
	/** @throws OffshootError busy when the server is going down */
	assertOpen(): void;
}

export function now(core: Core): Date {
	return new Date(core.clock.now());
}

export function orderKey(record: SandboxRecord, operation: Pick<Operation, "id">): OrderKey {
	return { sandboxId: record.id, incarnation: record.incarnation, operationId: operation.id };
}

/** Ends a container that no row refers to any more. Never rejects. */
export function removeContainer(core: Core, key: OrderKey): Promise<void> {
	return core.chores.attempt(`remove container ${key.sandboxId}-${key.incarnation}`, (signal) => core.node.remove(key, signal));
}

/** Deletes an artifact that no row refers to any more. Never rejects. */
export function deleteArtifact(core: Core, artifactId: string): Promise<void> {
	return core.chores.attempt(`delete artifact ${artifactId}`, (signal) => core.node.deleteArtifact(artifactId, signal));
}

/**
 * Undoes a capture that failed or came too late: the sandbox runs again, and the lock is kept until that is on record.
 * @param thaw lets the container run again if the operation left it frozen
 */
export async function backToRunning(
	core: Core,
	operation: Operation,
	from: SandboxRecord,
	thaw: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
	await core.chores.repair(operation, `let sandbox ${from.id} run again`, async (signal) => {
		// A killed sandbox has no row to put back, and a container that ended can't be thawed: its exit ends the row.
		if (!core.ledger.get(from.id)) return;
		if (!operation.exit) await thaw(signal);
		await unlessKilled(core.ledger.move(from, { state: "running", operationId: undefined, pendingArtifactId: undefined }));
	});
	if (from.pendingArtifactId) await deleteArtifact(core, from.pendingArtifactId);
}

/** A sandbox that was killed meanwhile needs no step back. */
export async function unlessKilled(move: Promise<unknown>): Promise<void> {
	try {
		await move;
	} catch (error) {
		if (!hasCode(error, "not_found")) throw error;
	}
}
