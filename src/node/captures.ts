import { type Engines, type SandboxEngine, StuckError } from "../engine/index.ts";
import { OffshootError } from "../protocol/index.ts";
import type { Store } from "../store/index.ts";
import { agentClient } from "./agent-client.ts";
import { type CaptureTools, capture, ended, freeze } from "./capture.ts";
import { ImageWriting, type ImageWritingOptions } from "./limits/index.ts";
import type { ContainerRecord } from "./records.ts";
import type { ArtifactFacts, CaptureOrder, FreezeOrder } from "./types.ts";

/**
 * The captures of one host. Guarantees: it is known of every container whether it stands still for a pause or has its
 * image written; one whose pause failed runs again, or is handed over to be ended.
 */
export interface CapturesOptions extends ImageWritingOptions {
	readonly store: Store;
	readonly engines: Engines;
	/** Before a container runs again that another server left standing still. */
	readonly beforeResume: (record: ContainerRecord, signal: AbortSignal) => Promise<void>;
	/** For a container that may stand still for ever. */
	readonly onStuck: (record: ContainerRecord) => void;
}

const THAW_TIMEOUT_MS = 30_000;

export class Captures {
	readonly #options: CapturesOptions;
	readonly #writing: ImageWriting;
	/** Containers that stand still for a pause: nothing that is asked of their guests can happen. */
	readonly #frozen = new Set<string>();

	constructor(options: CapturesOptions) {
		this.#options = options;
		this.#writing = new ImageWriting(options);
	}

	/** True while the container stands still for a pause, or its image is being written. */
	has(containerId: string): boolean {
		return this.#frozen.has(containerId) || this.#writing.has(containerId);
	}

	/** For a container that is gone. */
	forget(containerId: string): void {
		this.#frozen.delete(containerId);
	}

	/** See `NodeClient`. */
	capture(record: ContainerRecord, order: CaptureOrder, signal: AbortSignal): Promise<ArtifactFacts> {
		return capture(this.#tools(order), record, order, signal);
	}

	/** See `NodeClient`. */
	async freezeAndCapture(record: ContainerRecord, order: FreezeOrder, signal: AbortSignal): Promise<ArtifactFacts> {
		const healthy = await agentClient.becomesHealthy(record.slot.address, signal);
		if (!healthy && order.requireHealthyGuest) throw unhealthy(order.sandboxId);
		const engine = await this.#options.engines.open(record.engine);
		const standStill = () => {
			this.#frozen.add(record.containerId);
			return freeze(engine, record, signal);
		};
		try {
			const request = { ...order, agentUnresponsive: !healthy };
			return await capture({ ...this.#tools(order), standStill }, record, request, signal);
		} catch (error) {
			if (this.#frozen.has(record.containerId)) await this.#undo(record, error);
			throw error;
		}
	}

	/** @throws OffshootError not_found when the container has to be ended */
	async #undo(record: ContainerRecord, error: unknown): Promise<void> {
		const { log, onStuck } = this.#options;
		const { sandboxId } = record;
		if (error instanceof StuckError) {
			log.error({ err: error, sandboxId }, "a sandbox that stands still is ended");
			onStuck(record);
			throw ended(record, error);
		}
		// Its caller's signal may be the reason of the failure; the guest must run again all the same.
		await this.unfreeze(record, AbortSignal.timeout(THAW_TIMEOUT_MS)).catch((failure) =>
			log.error({ err: failure, sandboxId }, "a sandbox could not be let run again yet"),
		);
	}

	/** Lets a frozen container run again. */
	async unfreeze(record: ContainerRecord, signal: AbortSignal): Promise<void> {
		const { engines, beforeResume } = this.#options;
		const engine = await engines.open(record.engine);
		// Asked only of what another server left: the list waits for every container that is just being stopped.
		if (this.#frozen.has(record.containerId)) await engine.resume(record.containerId, signal);
		else if (await isPaused(engine, record, signal)) {
			await beforeResume(record, signal);
			await engine.resume(record.containerId, signal);
		}
		this.#frozen.delete(record.containerId);
	}

	#tools({ memory }: Pick<CaptureOrder, "memory">): CaptureTools {
		const { store, engines } = this.#options;
		const what = memory ? "memory" : "files";
		return { store, engines, whileWriting: (record, work) => this.#writing.during(record, what, work) };
	}
}

async function isPaused(engine: SandboxEngine, { containerId }: ContainerRecord, signal: AbortSignal): Promise<boolean> {
	const containers = await engine.list(signal);
	return containers.some(({ id, status }) => id === containerId && status === "paused");
}

function unhealthy(sandboxId: string): OffshootError {
	const text = `Sandbox "${sandboxId}" cannot be paused like this: its guest agent does not answer. It goes on running; pause it with its memory and without requiring a healthy guest, or kill it.`;
	return new OffshootError("busy", text, { errorCode: "sandbox_guest_agent_unresponsive", shouldRetry: false });
}
