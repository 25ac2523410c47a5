/**
 * One operation at a time per sandbox. An operation is registered in the same turn in which its right to run was
 * decided, so two callers can never both begin one.
 */
import { randomUUID } from "node:crypto";
import type { SandboxExit } from "../node/index.ts";
import type { Transition } from "./table.ts";

export interface Operation {
	/** Written to the row and to every order, so that both can be recognised after a crash. */
	readonly id: string;
	readonly sandboxId: string;
	readonly phase: Transition;
	/** Aborted when the sandbox was killed, or when the server closes and has waited long enough. */
	readonly signal: AbortSignal;
	abort(reason: Error): void;
	/** Result of the work. */
	readonly outcome: Promise<unknown>;
	/** Resolves when the next operation may begin: after the work and everything that `holdUntil` was given. */
	readonly released: Promise<void>;
	/** Keeps the sandbox locked until `repair` has ended, also when the work itself ends earlier. */
	holdUntil(repair: Promise<void>): void;
	/** Exit that the node reported meanwhile; handled when the operation is released. */
	exit: SandboxExit | undefined;
}

export class Operations {
	readonly #current = new Map<string, Operation>();
	readonly #lifetime: AbortSignal;
	readonly #onRelease: (operation: Operation) => void;

	constructor(lifetime: AbortSignal, onRelease: (operation: Operation) => void) {
		this.#lifetime = lifetime;
		this.#onRelease = onRelease;
	}

	current(sandboxId: string): Operation | undefined {
		return this.#current.get(sandboxId);
	}

	/**
	 * Begins an operation; `work` starts in this turn.
	 * @throws when one is under way for this sandbox: the caller has to look before
	 */
	begin<T>(sandboxId: string, phase: Transition, work: (operation: Operation) => Promise<T>): Promise<T> {
		if (this.#current.has(sandboxId)) throw new Error(`an operation is under way for sandbox ${sandboxId}`);
		const abort = new AbortController();
		const outcome = Promise.withResolvers<T>();
		const released = Promise.withResolvers<void>();
		const repairs: Promise<void>[] = [];
		const operation: Operation = {
			id: randomUUID(),
			sandboxId,
			phase,
			signal: AbortSignal.any([abort.signal, this.#lifetime]),
			abort: (reason) => abort.abort(reason),
			outcome: outcome.promise,
			released: released.promise,
			holdUntil: (repair) => void repairs.push(repair),
			exit: undefined,
		};
		this.#current.set(sandboxId, operation);
		const release = () => {
			this.#current.delete(sandboxId);
			released.resolve();
			this.#onRelease(operation);
		};
		// Released first: whoever learns the outcome may begin the next operation at once.
		const finish = () => (repairs.length === 0 ? release() : void Promise.allSettled(repairs).then(release));
		work(operation).then(
			(result) => {
				finish();
				outcome.resolve(result);
			},
			(error: unknown) => {
				finish();
				// What a node reports about a container that was taken from it is no news: the reason is.
				outcome.reject(abort.signal.aborted ? abort.signal.reason : error);
			},
		);
		return outcome.promise;
	}

	/** Resolves when every operation of this moment has been released. */
	async idle(): Promise<void> {
		await Promise.all([...this.#current.values()].map((operation) => operation.released));
	}
}
