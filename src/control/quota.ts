/**
 * Whether there is room for another running sandbox: in the team's number, taken before the row exists, so that a burst
 * can't overshoot; and on the node, which may be closed by its operator, and whose last memory and disk space are not
 * given away. What does not fit is refused before anything was begun.
 */
import type { NodeCapacity, NodeClient } from "../node/index.ts";
import { OffshootError } from "../protocol/index.ts";
import type { Ledger } from "./ledger.ts";
import type { Limits } from "./limits.ts";
import { notPlaced, type Placement } from "./placement.ts";

/** A start takes its memory little by little: with less than this left, those that run would suffer for the next one. */
const MEMORY_RESERVE_BYTES = 512 * 1024 * 1024;
const DISK_RESERVE_BYTES = 256 * 1024 * 1024;
/**
 * What a start under way is taken to need, since the host's figures don't show it yet: an idle sandbox of the larger
 * template has an image of 56 MB, and its engine's processes hold about 20. On disk a start writes an identity and logs.
 */
const START_MEMORY_BYTES = 80 * 1024 * 1024;
const START_DISK_BYTES = 4 * 1024 * 1024;

export interface QuotaOptions {
	readonly ledger: Ledger;
	readonly node: Pick<NodeClient, "capacity">;
	readonly placement: Pick<Placement, "assertReady">;
	/** @throws OffshootError busy when the server is going down */
	readonly assertOpen: () => void;
}

/** A team, and how many of its sandboxes may run. */
export interface TeamsRoom extends Pick<Limits, "maxConcurrent"> {
	readonly teamId: string;
}

export class Quota {
	readonly #options: QuotaOptions;
	readonly #reserved = new Map<string, number>();
	/** Starts that were told there is room, and are not in the ledger yet. */
	#entering = 0;

	constructor(options: QuotaOptions) {
		this.#options = options;
	}

	/**
	 * Holds a place for the team while `work` brings a sandbox into the ledger in a state that counts.
	 * @throws OffshootError too_many, busy when the node has no room or is closed, or the server is going down
	 */
	async within<T>({ teamId, maxConcurrent }: TeamsRoom, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
		// Here, where the operation is begun already: whoever closes waits for those that passed before.
		this.#options.assertOpen();
		this.#options.placement.assertReady();
		// Nothing may be waited for between this count and taking the place.
		const reserved = this.#reserved.get(teamId) ?? 0;
		if (this.#active(teamId) + reserved >= maxConcurrent) throw exceeded(maxConcurrent);
		this.#reserved.set(teamId, reserved + 1);
		try {
			return await this.#withRoom(signal, work);
		} finally {
			this.#reserved.set(teamId, (this.#reserved.get(teamId) ?? 1) - 1);
		}
	}

	async #withRoom<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
		const free = await this.#options.node.capacity(signal);
		// Nor here, between this look and taking the room: all of a burst see the same figures of the host.
		assertRoom(free, this.#underWay());
		this.#entering++;
		try {
			return await work();
		} finally {
			this.#entering--;
		}
	}

	#underWay(): number {
		let starting = this.#entering;
		for (const { state } of this.#options.ledger.all()) if (state === "starting" || state === "resuming") starting++;
		return starting;
	}

	#active(teamId: string): number {
		let active = 0;
		for (const record of this.#options.ledger.all()) {
			if (record.teamId === teamId && record.state !== "paused") active++;
		}
		return active;
	}
}

function assertRoom({ memoryFreeBytes, diskFreeBytes }: NodeCapacity, underWay: number): void {
	const memory = memoryFreeBytes - underWay * START_MEMORY_BYTES;
	const disk = diskFreeBytes - underWay * START_DISK_BYTES;
	if (memory < MEMORY_RESERVE_BYTES) throw noRoom("memory", memory, MEMORY_RESERVE_BYTES);
	if (disk < DISK_RESERVE_BYTES) throw noRoom("disk space", disk, DISK_RESERVE_BYTES);
}

function exceeded(limit: number): OffshootError {
	return new OffshootError(
		"too_many",
		`Sandbox limit reached: ${limit} sandboxes of this team run already; kill or pause one first`,
		{ errorCode: "sandbox_concurrency_limit", shouldRetry: false },
	);
}

function noRoom(what: string, free: number, reserve: number): OffshootError {
	const mb = (bytes: number) => `${Math.max(0, Math.floor(bytes / (1024 * 1024)))} MB`;
	return notPlaced(
		`The node has no room for another sandbox: ${mb(free)} of ${what} are free and ${mb(reserve)} must stay so; kill or pause sandboxes, delete snapshots, or try again later`,
	);
}
