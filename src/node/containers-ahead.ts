import { availableParallelism } from "node:os";
import type { Logger } from "pino";
import type { ContainerConfig, EgressPolicy, Engines, SandboxEngine, Slot, SlotPool } from "../engine/index.ts";
import { newSandboxId } from "../protocol/index.ts";
import type { Artifact, Store } from "../store/index.ts";

/**
 * Containers made before anybody asked for them, into which an image is restored later: that halves the time of a
 * start. Nothing runs in them, so nothing of a user's snapshot happens ahead of its create. One fits every artifact
 * with the same engine, root filesystem, spec and size; a template and the snapshots of its sandboxes share them.
 */
export interface ContainerAhead {
	readonly id: string;
	readonly slot: Slot;
	/** What the slot is open for already; undefined: it reaches nothing yet. */
	readonly egress?: EgressPolicy;
}

export interface ContainersAheadOptions {
	readonly store: Store;
	readonly engines: Engines;
	readonly slots: SlotPool;
	readonly log: Logger;
}

interface Shelf {
	readonly engine: SandboxEngine;
	readonly config: Omit<ContainerConfig, "id" | "slot">;
	readonly wanted: number;
	readonly ready: ContainerAhead[];
}

/** What most orders say: their starts need not set it, which would take a processor from the restore for 15 ms. */
const USUAL_EGRESS: EgressPolicy = { internet: true, allowCidrs: [], denyCidrs: [] };
/** Refilling begins this long after the last start: the first calls to a new sandbox come at once. */
const QUIET_MS = 40;
/** Starts that leave a processor for refilling. Making a container beside a restore on two cores slows it by a third. */
const STARTS_BESIDE = Math.floor(availableParallelism() / 4);

export class ContainersAhead {
	readonly #options: ContainersAheadOptions;
	readonly #shelves = new Map<string, Shelf>();
	readonly #closing = new AbortController();
	#timer: NodeJS.Timeout | undefined;
	#starting = 0;
	#filling: Promise<void> = Promise.resolve();

	constructor(options: ContainersAheadOptions) {
		this.#options = options;
	}

	/** Keeps `wanted` containers ready for artifacts like this one. */
	async keep(artifact: Artifact, wanted: number): Promise<void> {
		const { manifest, spec } = artifact;
		const engine = await this.#options.engines.open(manifest.engine);
		const rootfs = await this.#options.store.rootfs(manifest.rootfs.id);
		const config = { rootfsPath: rootfs.path, spec, resources: manifest.resources };
		this.#shelves.set(shelfKey(artifact), { engine, config, wanted, ready: [] });
		this.#refillSoon();
	}

	/** A container for this artifact, now the caller's; undefined when none is ready. */
	take(artifact: Artifact): ContainerAhead | undefined {
		return this.#shelves.get(shelfKey(artifact))?.ready.shift();
	}

	/** Runs a start, and refills after it. */
	async during<T>(start: () => Promise<T>): Promise<T> {
		this.#starting += 1;
		try {
			return await start();
		} finally {
			this.#starting -= 1;
			this.#refillSoon();
		}
	}

	stats(): { readonly ready: number; readonly wanted: number } {
		const shelves = [...this.#shelves.values()];
		return {
			ready: shelves.reduce((sum, shelf) => sum + shelf.ready.length, 0),
			wanted: shelves.reduce((sum, shelf) => sum + shelf.wanted, 0),
		};
	}

	/** Removes all that nobody took. */
	async close(): Promise<void> {
		this.#closing.abort();
		clearTimeout(this.#timer);
		await this.#filling;
		const rest = [...this.#shelves.values()].flatMap((shelf) => shelf.ready.splice(0).map((container) => ({ shelf, container })));
		await Promise.all(rest.map(({ shelf, container }) => this.#discard(shelf.engine, container)));
	}

	#refillSoon(): void {
		clearTimeout(this.#timer);
		if (!this.#mayFill()) return;
		this.#timer = setTimeout(() => {
			this.#filling = this.#filling.then(() => this.#refill());
		}, QUIET_MS);
	}

	#mayFill(): boolean {
		return !this.#closing.signal.aborted && this.#starting <= STARTS_BESIDE;
	}

	async #refill(): Promise<void> {
		for (const shelf of this.#shelves.values()) {
			while (shelf.ready.length < shelf.wanted && this.#mayFill()) {
				const container = await this.#make(shelf).catch((error) => {
					if (!this.#closing.signal.aborted)
						this.#options.log.warn({ err: error }, "making a container ahead failed; starts go on without");
				});
				if (container === undefined) return;
				shelf.ready.push(container);
			}
		}
	}

	async #make(shelf: Shelf): Promise<ContainerAhead> {
		const { signal } = this.#closing;
		const slot = await this.#options.slots.acquire(signal);
		const container = { id: `${newSandboxId()}-ahead`, slot, egress: USUAL_EGRESS };
		try {
			await this.#options.slots.prepare(slot, signal);
			await this.#options.slots.setEgress(slot, USUAL_EGRESS, signal);
			await shelf.engine.create({ ...shelf.config, id: container.id, slot }, signal);
			return container;
		} catch (error) {
			await this.#discard(shelf.engine, container);
			throw error;
		}
	}

	async #discard(engine: SandboxEngine, container: ContainerAhead): Promise<void> {
		await engine.remove(container.id, AbortSignal.timeout(30_000));
		await this.#options.slots.release(container.slot);
	}
}

function shelfKey({ manifest, spec }: Artifact): string {
	return JSON.stringify([manifest.engine, manifest.rootfs.id, manifest.resources, spec]);
}
