/**
 * The door through which control uses a node. Plain data only: in one process it is called directly, across machines
 * the same calls travel over RPC. Every order names the sandbox, its incarnation and an operation id, and is idempotent
 * for the same three: repeated after a crash it finds what the first call did.
 */
import type { EgressPolicy, Resources } from "../engine/index.ts";
import type { ArtifactKind } from "../store/index.ts";

export interface OrderKey {
	readonly sandboxId: string;
	readonly incarnation: number;
	readonly operationId: string;
}

export interface StartOrder extends OrderKey {
	readonly artifactId: string;
	readonly templateId: string;
	/**
	 * True: go on where the artifact was captured, if it holds memory. False: cold start on its files; memory that it
	 * holds is left alone.
	 */
	readonly memory: boolean;
	/** True for a new sandbox, false for the resume of a paused one. */
	readonly newIdentity: boolean;
	/** Undefined: the sandbox is open. */
	readonly accessToken: string | undefined;
	/** Complete global environment. */
	readonly envs: Readonly<Record<string, string>>;
	readonly egress: EgressPolicy;
}

export interface StartedSandbox {
	readonly sandboxId: string;
	readonly incarnation: number;
	/** Host address of the guest; every guest port is reachable there, from this host only. */
	readonly address: string;
	readonly resources: Resources;
}

export interface CaptureOrder extends OrderKey {
	/** Id of the artifact to make: a UUID chosen by control, so that a repeated order is recognised. */
	readonly artifactId: string;
	readonly kind: ArtifactKind;
	/** False: the files alone are captured. */
	readonly memory: boolean;
	/** Global environment to store with the artifact. */
	readonly envs: Readonly<Record<string, string>>;
}

export interface FreezeOrder extends CaptureOrder {
	/** True: refused when the guest's agent does not answer. */
	readonly requireHealthyGuest: boolean;
}

/** Facts of a published artifact that control stores beside its id. */
export interface ArtifactFacts {
	readonly artifactId: string;
	readonly kind: ArtifactKind;
	readonly createdAt: string;
	readonly sizeBytes: number;
	/** False: a start from it is a cold one. */
	readonly memory: boolean;
	/** The agent did not answer just before the capture. */
	readonly agentUnresponsive: boolean;
	readonly pauseMs: number;
	readonly engineVersion: string;
	readonly resources: Resources;
	readonly rootfsId: string;
	readonly envs: Readonly<Record<string, string>>;
	/** For `kind: template`: which template this is the image of. */
	readonly templateName?: string;
}

/** A container that is alive on the node, as found after a restart. */
export interface NodeSandbox extends StartedSandbox {
	readonly paused: boolean;
}

export interface SandboxExit {
	readonly sandboxId: string;
	readonly incarnation: number;
	readonly reason: string;
}

/** Lines for the log of a sandbox. */
export interface SandboxOutput {
	readonly sandboxId: string;
	readonly incarnation: number;
	/** `limits`: what the host ended in the sandbox. Absent: what its processes printed where no client listens. */
	readonly source?: "limits";
	readonly lines: readonly string[];
}

/** Bytes that are free on the host. */
export interface NodeCapacity {
	readonly memoryFreeBytes: number;
	/** Where artifacts and the writable layers of sandboxes live. */
	readonly diskFreeBytes: number;
}

/** What machine a node is, and how busy. */
export interface HostFacts {
	readonly machine: {
		readonly cpuFamily: string;
		readonly cpuModel: string;
		readonly cpuModelName: string;
		readonly cpuArchitecture: string;
	};
	readonly cpuCount: number;
	/** Of all processors together, since the last time it was asked: 0 to 100. */
	readonly cpuPercent: number;
	/** bytes, as the following */
	readonly memoryTotalBytes: number;
	readonly memoryUsedBytes: number;
	/** Where artifacts and the writable layers of sandboxes live. */
	readonly disk: {
		readonly mountPoint: string;
		readonly device: string;
		readonly filesystemType: string;
		readonly totalBytes: number;
		readonly usedBytes: number;
	};
}

/** What a sandbox uses, as its own kernel tells it. */
export interface GuestMetrics {
	readonly cpuCount: number;
	/** Of one second of one processor: 200 when two are busy. */
	readonly cpuUsedPct: number;
	/** bytes, as the following */
	readonly memTotal: number;
	readonly memUsed: number;
	readonly memCache: number;
	readonly diskUsed: number;
	readonly diskTotal: number;
}

export interface NodeClient {
	readonly nodeId: string;
	/** Starts this incarnation from the artifact and initialises its agent; resolves when the sandbox answers. */
	start(order: StartOrder, signal: AbortSignal): Promise<StartedSandbox>;
	/** Captures the running sandbox, which goes on running. Resolves when the artifact is durable and checked. */
	capture(order: CaptureOrder, signal: AbortSignal): Promise<ArtifactFacts>;
	/**
	 * Freezes the sandbox, captures it and leaves it **frozen**: control removes it with `remove` once its row is
	 * durable. On failure the sandbox runs again before the error is thrown.
	 * @throws OffshootError busy when the guest had to be healthy and is not
	 */
	freezeAndCapture(order: FreezeOrder, signal: AbortSignal): Promise<ArtifactFacts>;
	/** Lets a frozen sandbox run again. */
	unfreeze(order: OrderKey, signal: AbortSignal): Promise<void>;
	setEgress(order: OrderKey, policy: EgressPolicy, signal: AbortSignal): Promise<void>;
	/** Ends the container and frees all it held. No error when there is none. */
	remove(order: OrderKey, signal: AbortSignal): Promise<void>;
	list(signal: AbortSignal): Promise<readonly NodeSandbox[]>;
	/** Facts of one published artifact; undefined when there is none. */
	artifact(artifactId: string, signal: AbortSignal): Promise<ArtifactFacts | undefined>;
	listArtifacts(signal: AbortSignal): Promise<readonly ArtifactFacts[]>;
	/** Removes an artifact; the caller has made sure that nothing is based on it. No error when there is none. */
	deleteArtifact(artifactId: string, signal: AbortSignal): Promise<void>;
	/** Asks the guest agent. @param accessToken of the sandbox */
	metrics(
		of: Pick<OrderKey, "sandboxId" | "incarnation">,
		accessToken: string | undefined,
		signal: AbortSignal,
	): Promise<GuestMetrics>;
	/** What the host has left. */
	capacity(signal: AbortSignal): Promise<NodeCapacity>;
	host(signal: AbortSignal): Promise<HostFacts>;
	onOutput(listener: (output: SandboxOutput) => void): () => void;
	/** Sandboxes that ended by themselves (crash, out of memory, killed from outside). */
	onExit(listener: (exit: SandboxExit) => void): () => void;
}
