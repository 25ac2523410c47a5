/** A node whose host is a few maps. It keeps the contract of NodeClient, also when a test lets one of its steps fail. */
import type { EgressPolicy } from "../../engine/index.ts";
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
	StartOrder,
} from "../../node/index.ts";
import { containerId, OffshootError } from "../../protocol/index.ts";
import type { Faults } from "./faults.ts";

export interface FakeContainer {
	readonly sandboxId: string;
	readonly incarnation: number;
	readonly address: string;
	readonly artifactId: string;
	readonly accessToken: string | undefined;
	readonly envs: Readonly<Record<string, string>>;
	/** What the host enforces. */
	egress?: EgressPolicy;
	frozen: boolean;
	/** Whether its agent answers. */
	responsive: boolean;
	/** What the guest has in memory. */
	memory: string[];
	/** What it has on its disk. */
	files: string[];
}

interface FakeArtifact {
	readonly facts: ArtifactFacts;
	readonly memory: readonly string[];
	readonly files: readonly string[];
}

/** What outlives the server. */
export class FakeHost {
	readonly containers = new Map<string, FakeContainer>();
	readonly artifacts = new Map<string, FakeArtifact>();
	capacity: NodeCapacity = { memoryFreeBytes: 8 * 2 ** 30, diskFreeBytes: 8 * 2 ** 30 };
	#addresses = 0;

	nextAddress(): string {
		this.#addresses++;
		return `10.0.${this.#addresses >> 8}.${this.#addresses & 255}`;
	}

	container(key: Pick<OrderKey, "sandboxId" | "incarnation">): FakeContainer | undefined {
		return this.containers.get(containerId(key.sandboxId, key.incarnation));
	}
}

export const RESOURCES = { cpuCount: 2, memoryMB: 512, diskSizeMB: 1024 };

export function facts(artifactId: string, change: Partial<ArtifactFacts> = {}): ArtifactFacts {
	return {
		artifactId,
		kind: "template",
		createdAt: new Date().toISOString(),
		sizeBytes: 1_000_000,
		memory: true,
		agentUnresponsive: false,
		pauseMs: 30,
		engineVersion: "engine-1",
		resources: RESOURCES,
		rootfsId: "rootfs-1",
		envs: {},
		...change,
	};
}

export class FakeNode implements NodeClient {
	readonly nodeId = "node-1";
	readonly #host: FakeHost;
	readonly #faults: Faults;
	readonly #listeners = new Set<(exit: SandboxExit) => void>();
	readonly #outputListeners = new Set<(output: SandboxOutput) => void>();

	constructor(host: FakeHost, faults: Faults) {
		this.#host = host;
		this.#faults = faults;
	}

	async start(order: StartOrder, signal: AbortSignal): Promise<NodeSandbox> {
		await this.#point("start", signal);
		const image = this.#host.artifacts.get(order.artifactId);
		if (!image) throw new Error(`no artifact ${order.artifactId}`);
		const { sandboxId, incarnation, artifactId, accessToken, envs } = order;
		const address = this.#host.nextAddress();
		const memory = order.memory ? [...image.memory] : [];
		const files = [...image.files];
		const made = {
			sandboxId,
			incarnation,
			address,
			artifactId,
			accessToken,
			envs,
			frozen: false,
			responsive: true,
			memory,
			files,
		};
		this.#host.containers.set(containerId(sandboxId, incarnation), made);
		try {
			await this.#point("start:made", signal);
			return view(this.#require(order));
		} catch (error) {
			this.#host.containers.delete(containerId(sandboxId, incarnation));
			throw error;
		}
	}

	async capture(order: CaptureOrder, signal: AbortSignal): Promise<ArtifactFacts> {
		await this.#point("capture", signal);
		const published = this.#publish(order);
		await this.#point("capture:published", signal);
		return published;
	}

	async freezeAndCapture(order: FreezeOrder, signal: AbortSignal): Promise<ArtifactFacts> {
		await this.#point("freeze", signal);
		const container = this.#require(order);
		if (order.requireHealthyGuest && !container.responsive) throw new OffshootError("busy", "the agent does not answer");
		container.frozen = true;
		try {
			await this.#point("freeze:frozen", signal);
			const published = this.#publish(order);
			await this.#point("freeze:published", signal);
			return published;
		} catch (error) {
			container.frozen = false;
			throw error;
		}
	}

	async unfreeze(order: OrderKey, signal: AbortSignal): Promise<void> {
		await this.#point("unfreeze", signal);
		this.#require(order).frozen = false;
		await this.#point("unfreeze:done", signal);
	}

	async setEgress(order: OrderKey, policy: EgressPolicy, signal: AbortSignal): Promise<void> {
		await this.#point("setEgress", signal);
		this.#require(order).egress = policy;
	}

	async remove(order: OrderKey, signal: AbortSignal): Promise<void> {
		await this.#point("remove", signal);
		this.#host.containers.delete(containerId(order.sandboxId, order.incarnation));
		await this.#point("remove:done", signal);
	}

	async list(signal: AbortSignal): Promise<readonly NodeSandbox[]> {
		await this.#point("list", signal);
		return [...this.#host.containers.values()].map(view);
	}

	async artifact(artifactId: string): Promise<ArtifactFacts | undefined> {
		return this.#host.artifacts.get(artifactId)?.facts;
	}

	async listArtifacts(): Promise<readonly ArtifactFacts[]> {
		return [...this.#host.artifacts.values()].map((artifact) => artifact.facts);
	}

	async deleteArtifact(artifactId: string, signal: AbortSignal): Promise<void> {
		await this.#point("deleteArtifact", signal);
		this.#host.artifacts.delete(artifactId);
		await this.#point("deleteArtifact:done", signal);
	}

	async metrics(of: Pick<OrderKey, "sandboxId" | "incarnation">, accessToken: string | undefined): Promise<GuestMetrics> {
		const container = this.#host.container(of);
		if (!container || container.accessToken !== accessToken) throw new Error("no such container, or not its token");
		const { memory } = container;
		return { cpuCount: 2, cpuUsedPct: 1, memTotal: 512, memUsed: memory.length, memCache: 0, diskUsed: 1, diskTotal: 1024 };
	}

	async capacity(signal: AbortSignal): Promise<NodeCapacity> {
		signal.throwIfAborted();
		return this.#host.capacity;
	}

	async host(signal: AbortSignal): Promise<HostFacts> {
		signal.throwIfAborted();
		return {
			machine: { cpuFamily: "6", cpuModel: "1", cpuModelName: "Test", cpuArchitecture: "x86_64" },
			cpuCount: 4,
			cpuPercent: 12.5,
			memoryTotalBytes: 8_000,
			memoryUsedBytes: 5_000,
			disk: { mountPoint: "/", device: "/dev/test", filesystemType: "ext4", totalBytes: 900, usedBytes: 300 },
		};
	}

	onOutput(listener: (output: SandboxOutput) => void): () => void {
		this.#outputListeners.add(listener);
		return () => this.#outputListeners.delete(listener);
	}

	/** A process of the sandbox prints where no client listens. */
	print(key: Pick<OrderKey, "sandboxId" | "incarnation">, ...lines: readonly string[]): void {
		for (const listener of this.#outputListeners) listener({ ...key, lines });
	}

	/** The node ended something in the sandbox for its limits. */
	limit(key: Pick<OrderKey, "sandboxId" | "incarnation">, what: string): void {
		for (const listener of this.#outputListeners) listener({ ...key, source: "limits", lines: [what] });
	}

	onExit(listener: (exit: SandboxExit) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/** The container ends by itself. */
	crash(key: Pick<OrderKey, "sandboxId" | "incarnation">, reason: string): void {
		this.#host.containers.delete(containerId(key.sandboxId, key.incarnation));
		for (const listener of this.#listeners) listener({ ...key, reason });
	}

	#publish(order: CaptureOrder): ArtifactFacts {
		const { artifactId, kind, envs, memory } = order;
		const guest = this.#require(order);
		const published = facts(artifactId, { kind, envs, memory, agentUnresponsive: !guest.responsive });
		const kept = memory ? [...guest.memory] : [];
		this.#host.artifacts.set(artifactId, { facts: published, memory: kept, files: [...guest.files] });
		return published;
	}

	#require(key: OrderKey): FakeContainer {
		const container = this.#host.container(key);
		if (!container) throw new Error(`no container ${containerId(key.sandboxId, key.incarnation)}`);
		return container;
	}

	async #point(name: string, signal: AbortSignal): Promise<void> {
		signal.throwIfAborted();
		// Not checked again: a real node that is nearly done finishes what it does.
		await this.#faults.point(name);
	}
}

function view(container: FakeContainer): NodeSandbox {
	const { sandboxId, incarnation, address, frozen } = container;
	return { sandboxId, incarnation, address, resources: RESOURCES, paused: frozen };
}
