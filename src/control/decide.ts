/** Applies the lifecycle table to a call: refuses it, lets it wait, lets it join, or lets it go ahead. */
import type { SandboxRecord } from "../fleet/index.ts";
import { OffshootError } from "../protocol/index.ts";
import { abandonable } from "./clock.ts";
import type { Core } from "./core.ts";
import type { Operation } from "./operations.ts";
import { LIFECYCLE, type OperationName, type Phase, phaseAtRest } from "./table.ts";

/** How often a call waits for another operation before it gives up with a conflict. */
const MAX_WAITS = 3;
const MAX_WAIT_MS = 60_000;

/** For calls that never wait. */
export const NEVER_ABORTED = new AbortController().signal;

export interface Actions<T> {
	/** Must register its operation, if it is one, before it first awaits: see `Operations`. */
	readonly go: (record: SandboxRecord) => Promise<T>;
	readonly join?: (operation: Operation) => Promise<T>;
}

function phaseOf(core: Core, record: SandboxRecord): Phase {
	return core.operations.current(record.id)?.phase ?? phaseAtRest(record);
}

/**
 * @param find looks the sandbox up, again after every wait
 * @throws OffshootError what the table says; conflict when the sandbox did not come to rest
 */
export async function decide<T>(
	core: Core,
	name: OperationName,
	find: () => SandboxRecord,
	actions: Actions<T>,
	signal: AbortSignal,
): Promise<T> {
	for (let waits = 0; ; waits++) {
		const record = find();
		const verdict = LIFECYCLE[name][phaseOf(core, record)];
		const operation = core.operations.current(record.id);
		if (verdict.do === "refuse") throw verdict.error(record.id);
		if (verdict.do === "go") return actions.go(record);
		if (verdict.do === "join" && operation && actions.join) {
			return abandonable(actions.join(operation), AbortSignal.any([signal, operation.signal]));
		}
		if (waits >= MAX_WAITS || !operation || !(await settles(core, operation, signal))) throw unsettled(record.id);
	}
}

/**
 * Waits until it is worth looking again: the operation was released, or a kill has aborted it.
 * @returns false when it takes too long
 */
async function settles(core: Core, operation: Operation, signal: AbortSignal): Promise<boolean> {
	const timeout = Promise.withResolvers<boolean>();
	const cancel = core.clock.schedule(MAX_WAIT_MS, () => timeout.resolve(false));
	const released = operation.released.then(() => true);
	try {
		return await abandonable(Promise.race([released, timeout.promise]), AbortSignal.any([signal, operation.signal]));
	} catch {
		signal.throwIfAborted();
		return true;
	} finally {
		cancel();
	}
}

function unsettled(sandboxId: string): OffshootError {
	return new OffshootError("conflict", `Sandbox "${sandboxId}" is still changing its state; try again in a moment`);
}
