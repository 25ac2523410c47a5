import type { EgressPolicy } from "../engine/index.ts";
import { OffshootError } from "../protocol/index.ts";
import type { Artifact } from "../store/index.ts";
import { agentClient } from "./agent-client.ts";
import { factsOf } from "./capture.ts";
import { Captures } from "./captures.ts";
import { ContainersAhead } from "./containers-ahead.ts";
import { watchExits } from "./exits.ts";
import { readGuestMetrics } from "./guest-metrics.ts";
import { endedByLimit, type LimitsWatch, watchLimits } from "./limits/index.ts";
import type { NodeOptions } from "./options.ts";
import { OutputWatch } from "./output.ts";
import type { ContainerRecord } from "./records.ts";
import { newPlace, Start } from "./start.ts";
import type {
	ArtifactFacts,
	CaptureOrder,
	FreezeOrder,
	GuestMetrics,
	HostFacts,
	NodeCapacity,
	NodeClient,
	NodeSandbox,
	OrderKey,
	SandboxExit,
	SandboxOutput,
	StartedSandbox,
	StartOrder,
} from "./types.ts";

/** A whole start, the guest's initialisation included. */
const START_TIMEOUT_MS = 60_000;
/** A cold one, which waits for the programs that a warm one has in memory. */
const COLD_START_TIMEOUT_MS = 180_000;
const STUCK = "it stood still for a pause that failed and could not be let run again";
const FLOODED = "its first processes printed without end";
const CLEANUP_TIMEOUT_MS = 30_000;

/**
 * One host. Guarantees: a start either ends with an initialised sandbox or leaves nothing; no order ends a container
 * but `remove`; a repeated order finds what the first did; what runs is written down before it runs, so a new process
 * adopts it.
 */
export class LocalNode implements NodeClient {
	readonly nodeId: string;
	readonly #options: NodeOptions;
	readonly #listeners = new Set<(exit: SandboxExit) => void>();
	readonly #removing = new Map<string, Promise<void>>();
	readonly #ahead: ContainersAhead;
	readonly #captures: Captures;
	readonly #limits: LimitsWatch;
	readonly #stopWatching: () => Promise<void>;
	readonly #output: OutputWatch;

	constructor(options: NodeOptions) {
		this.#ahead = new ContainersAhead(options);
		this.nodeId = options.nodeId;
		this.#options = options;
		this.#output = new OutputWatch(options.records, options.engines, (record) => void this.#end(record, FLOODED));
		const stopExits = watchExits(options.records, (record) => void this.#exited(record));
		this.#captures = new Captures({
			...options,
			beforeResume: (record, signal) => this.#limits.beforeResume(record, signal),
			onStuck: (record) => void this.#end(record, STUCK),
		});
		this.#limits = watchLimits({
			...options,
			isLeftAlone: (containerId) => this.#captures.has(containerId),
			onHopeless: (record, reason) => void this.#end(record, reason),
			onEnded: (record, what) => this.#output.report(record, "limits", what),
		});
		this.#stopWatching = () => {
			stopExits();
			return this.#limits.stop();
		};
	}

	start(order: StartOrder, signal: AbortSignal): Promise<StartedSandbox> {
		return this.#ahead.during(() => this.#start(order, signal));
	}

	async #start(order: StartOrder, signal: AbortSignal): Promise<StartedSandbox> {
		const existing = this.#options.records.find(order.sandboxId, order.incarnation);
		if (existing?.phase === "ready") return startedOf(existing);
		if (existing !== undefined) await this.#removeContainer(existing);

		const artifact = await this.#artifact(order.artifactId);
		const warm = order.memory && artifact.manifest.memory;
		const limitMs = warm ? START_TIMEOUT_MS : COLD_START_TIMEOUT_MS;
		const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
		const place = (warm && this.#ahead.take(artifact)) || (await newPlace(this.#options.slots, order, limit));
		const start = new Start(this.#options, { order, artifact, place }, limit);
		try {
			return startedOf(await (warm ? start.restore() : start.boot()));
		} catch (error) {
			await this.#removeContainer(start.record);
			signal.throwIfAborted();
			this.#options.log.warn({ err: error, sandboxId: order.sandboxId }, "a start failed and was undone");
			throw limit.aborted && !(error instanceof OffshootError) ? lateStart(limitMs, error) : error;
		}
	}

	async #artifact(artifactId: string): Promise<Artifact> {
		const artifact = await this.#options.store.open(artifactId);
		if (artifact === undefined) throw missingImage(artifactId);
		this.#requireCpu(artifact);
		return artifact;
	}

	/** Captured processes may use any feature they once saw; without it they would die of an illegal instruction. */
	#requireCpu({ manifest }: Artifact): void {
		if (!manifest.memory) return;
		const missing = manifest.cpuFeatures.filter((feature) => !this.#options.cpuFeatures.includes(feature));
		if (missing.length === 0) return;
		const text = `This snapshot was taken on a processor with features that this host lacks: ${missing.join(", ")}. Restore it on a host that has them.`;
		throw new OffshootError("conflict", text, { shouldRetry: false });
	}

	capture(order: CaptureOrder, signal: AbortSignal): Promise<ArtifactFacts> {
		return this.#captures.capture(this.#ready(order), order, signal);
	}

	freezeAndCapture(order: FreezeOrder, signal: AbortSignal): Promise<ArtifactFacts> {
		return this.#captures.freezeAndCapture(this.#ready(order), order, signal);
	}

	unfreeze(order: OrderKey, signal: AbortSignal): Promise<void> {
		return this.#captures.unfreeze(this.#ready(order), signal);
	}

	async setEgress(order: OrderKey, policy: EgressPolicy, signal: AbortSignal): Promise<void> {
		await this.#options.slots.setEgress(this.#ready(order).slot, policy, signal);
	}

	async remove(order: OrderKey, _signal: AbortSignal): Promise<void> {
		const record = this.#options.records.find(order.sandboxId, order.incarnation);
		if (record !== undefined) await this.#removeContainer(record);
	}

	/** Runs once per container however often it is asked for, and to its end whoever gives up waiting. */
	#removeContainer(record: ContainerRecord): Promise<void> {
		const running = this.#removing.get(record.containerId);
		if (running !== undefined) return running;
		const removal = this.#removeNow(record).finally(() => this.#removing.delete(record.containerId));
		this.#removing.set(record.containerId, removal);
		return removal;
	}

	async #removeNow(record: ContainerRecord): Promise<void> {
		const engine = await this.#options.engines.open(record.engine);
		await this.#output.take(record);
		await engine.remove(record.containerId, AbortSignal.timeout(CLEANUP_TIMEOUT_MS));
		await this.#options.slots.release(record.slot);
		await this.#options.records.delete(record.containerId);
		this.#captures.forget(record.containerId);
	}

	async list(signal: AbortSignal): Promise<readonly NodeSandbox[]> {
		const paused = new Set<string>();
		for (const engine of this.#options.engines.opened()) {
			for (const container of await engine.list(signal)) if (container.status === "paused") paused.add(container.id);
		}
		return this.#options.records
			.all()
			.filter((record) => record.phase === "ready")
			.map((record) => ({ ...startedOf(record), paused: paused.has(record.containerId) }));
	}

	async artifact(artifactId: string): Promise<ArtifactFacts | undefined> {
		const artifact = await this.#options.store.open(artifactId);
		return artifact && factsOf(artifact.manifest);
	}

	async listArtifacts(): Promise<readonly ArtifactFacts[]> {
		return (await this.#options.store.list()).map((artifact) => factsOf(artifact.manifest));
	}

	async deleteArtifact(artifactId: string): Promise<void> {
		await this.#options.store.remove(artifactId);
	}

	async metrics(
		of: Pick<OrderKey, "sandboxId" | "incarnation">,
		accessToken: string | undefined,
		signal: AbortSignal,
	): Promise<GuestMetrics> {
		const { slot, resources } = this.#ready(of);
		return readGuestMetrics(await agentClient.metrics(slot.address, accessToken, signal), resources);
	}

	async capacity(signal: AbortSignal): Promise<NodeCapacity> {
		signal.throwIfAborted();
		return { memoryFreeBytes: process.availableMemory(), diskFreeBytes: await this.#options.store.freeBytes() };
	}

	host(signal: AbortSignal): Promise<HostFacts> {
		return this.#options.host.read(signal);
	}

	onOutput(listener: (output: SandboxOutput) => void): () => void {
		return this.#output.onOutput(listener);
	}

	onExit(listener: (exit: SandboxExit) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/** Keeps `count` containers ready for starts from this artifact and from snapshots of its sandboxes. */
	async keepAhead(artifactId: string, count: number): Promise<void> {
		await this.#ahead.keep(await this.#artifact(artifactId), count);
	}

	/** Removes root filesystems that neither an artifact nor a running container refers to any more. */
	async collectUnused(): Promise<void> {
		const { store, records } = this.#options;
		const inArtifacts = (await store.list()).map((artifact) => artifact.manifest.rootfs.id);
		await store.pruneRootfs(new Set([...inArtifacts, ...records.all().map((record) => record.rootfs.id)]));
	}

	/** Figures of the pool of containers made ahead. */
	poolStats(): { readonly ready: number; readonly wanted: number } {
		return this.#ahead.stats();
	}

	/** Stops watching; sandboxes live on. */
	async close(): Promise<void> {
		await this.#stopWatching();
		this.#output.close();
		await this.#ahead.close();
		await Promise.allSettled(this.#removing.values());
	}

	async #exited(record: ContainerRecord): Promise<void> {
		const { limits } = await this.#options.engines.open(record.engine);
		await this.#end(record, endedByLimit(limits, record) ?? "the sandbox's main process ended");
	}

	/** For a sandbox that nobody asked to end. */
	async #end(record: ContainerRecord, reason: string): Promise<void> {
		if (this.#removing.has(record.containerId)) return;
		const { sandboxId, incarnation } = record;
		this.#options.log.warn({ sandboxId, incarnation, reason }, "sandbox ended by itself");
		for (const listener of this.#listeners) listener({ sandboxId, incarnation, reason });
		await this.#removeContainer(record).catch((error) =>
			this.#options.log.error({ err: error, sandboxId }, "clean-up after an exit failed"),
		);
	}

	#ready(order: Pick<OrderKey, "sandboxId" | "incarnation">): ContainerRecord {
		const record = this.#options.records.find(order.sandboxId, order.incarnation);
		if (record?.phase === "ready") return record;
		throw new OffshootError("not_found", `sandbox ${order.sandboxId} is not running on node ${this.nodeId}`);
	}
}

/** No 404: whoever asks has a snapshot or a paused sandbox that is there, and is listed. */
function missingImage(artifactId: string): OffshootError {
	const text = `The image to start from is missing on this host, or damaged: data directory, artifacts/${artifactId}. Bring it back from a copy, or delete what it belongs to: it cannot be started any more`;
	return new OffshootError("internal", text, { errorCode: "sandbox_create_failed", shouldRetry: false });
}

function lateStart(limitMs: number, cause: unknown): OffshootError {
	const text = `The sandbox was not started within ${limitMs / 1000} s; try again when this host has less to do`;
	return new OffshootError("timed_out", text, { errorCode: "sandbox_create_failed", shouldRetry: false, cause });
}

function startedOf(record: ContainerRecord): StartedSandbox {
	const { sandboxId, incarnation, resources, slot } = record;
	return { sandboxId, incarnation, resources, address: slot.address };
}
