/**
 * What the rest of the house knows of an engine. An engine runs containers from a root filesystem or from a memory
 * image and captures them; it knows nothing of sandboxes, teams or templates.
 */
import type { Slot } from "./network/types.ts";

export interface Resources {
	readonly cpuCount: number;
	readonly memoryMB: number;
	readonly diskSizeMB: number;
}

/** Identifies the exact binary that wrote an image: restoring with another one is refused. */
export interface EngineBuild {
	readonly version: string;
	/** Hex digest of the binary. */
	readonly sha256: string;
}

/**
 * An OCI runtime specification with the host-specific parts (root path, network namespace, host name) left out.
 * It is stored with every artifact and restored literally, since the engine demands equality.
 */
export type SpecTemplate = Readonly<Record<string, unknown>>;

export interface ContainerConfig {
	/** Full-length container id. */
	readonly id: string;
	readonly rootfsPath: string;
	readonly slot: Slot;
	readonly spec: SpecTemplate;
	readonly resources: Resources;
}

export interface ImageFile {
	readonly name: string;
	/** bytes */
	readonly size: number;
}

/** Facts about a finished, verified checkpoint. */
export interface ImageFacts {
	readonly files: readonly ImageFile[];
	/** Bytes of guest memory in the image. */
	readonly memoryBytes: number;
	/** Time the engine command took, ms: an upper bound of the guest's stall. */
	readonly pauseMs: number;
}

/** What a cold start on captured files differs in from the first boot of a root filesystem. */
export interface ColdStart {
	/** Directory that `captureFiles` filled. */
	readonly filesDir: string;
	/** Environment of init that replaces the spec's values of the same names. */
	readonly env: Readonly<Record<string, string>>;
	readonly hostname: string;
}

export type ContainerStatus = "created" | "running" | "paused" | "stopped";

export interface ContainerState {
	readonly id: string;
	readonly status: ContainerStatus;
	/** Host pid of the engine's process for this container; it ends when the container does. */
	readonly pid: number;
}

export interface SandboxEngine {
	readonly build: EngineBuild;
	/** CPU features of this host as the engine names them. */
	cpuFeatures(signal: AbortSignal): Promise<readonly string[]>;
	/** A spec for a new root filesystem, to be stored with what is made from it. @param env environment of its init */
	newSpec(resources: Resources, env: Readonly<Record<string, string>>): SpecTemplate;
	/** Cold start: runs the spec's init in the container. */
	boot(config: ContainerConfig, signal: AbortSignal): Promise<ContainerState>;
	/**
	 * Cold start on captured files: the spec's init runs in the root filesystem with what was written to it since.
	 * Resolves when the files are complete; the directory may be removed then.
	 */
	bootOnFiles(config: ContainerConfig, start: ColdStart, signal: AbortSignal): Promise<ContainerState>;
	/**
	 * Makes a container that runs nothing yet, so that a later restore into it is quicker. Only a restore with the same
	 * config may follow.
	 */
	create(config: ContainerConfig, signal: AbortSignal): Promise<void>;
	/**
	 * Starts a container (made ahead or not) from an image directory; its processes go on where the image was taken.
	 */
	restore(config: ContainerConfig, imageDir: string, signal: AbortSignal): Promise<ContainerState>;
	/**
	 * Captures memory and files into `imageDir` (fresh, made by this call). The container goes on as it was: running
	 * stays running, paused stays paused. Resolves only after every file was checked against the image's metadata.
	 */
	checkpoint(id: string, imageDir: string, signal: AbortSignal): Promise<ImageFacts>;
	/**
	 * Captures what was written to the root filesystem, of one instant, into `imageDir` (fresh, made by this call): no
	 * memory, no processes, nothing of other mounts. Otherwise as `checkpoint`.
	 */
	captureFiles(id: string, imageDir: string, signal: AbortSignal): Promise<ImageFacts>;
	pause(id: string, signal: AbortSignal): Promise<void>;
	resume(id: string, signal: AbortSignal): Promise<void>;
	/** Ends the container and removes all the engine keeps for it. No error if there is none. */
	remove(id: string, signal: AbortSignal): Promise<void>;
	/**
	 * What the container's processes wrote to the standard output and error they were started with, since the last
	 * call; of more than `maxBytes` the older part is lost. Must be called now and then: it is kept in memory of the host.
	 */
	takeOutput(id: string, maxBytes: number): string;
	/** Every container of this engine build, also those started before a crash of the server. */
	list(signal: AbortSignal): Promise<readonly ContainerState[]>;
}
