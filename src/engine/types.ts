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

/** What a container uses. Host tasks are processes and threads of the engine, which stand for those of the guest. */
export interface ContainerUsage {
	/** Bytes, reclaimable file cache included: an upper bound that is cheap to read. */
	readonly chargedBytes: number;
	readonly tasks: number;
}

export interface ContainerPressure {
	/** Bytes of the guest: what its processes hold, and its files in memory. */
	readonly guestBytes: number;
	/** Bytes of the engine: what it keeps of the guest's files, sockets and threads, and what it needed to write an image. */
	readonly engineBytes: number;
	/** Tasks that the host's kernel killed for want of memory. */
	readonly oomKills: number;
	/** How often the host refused a new task. */
	readonly tasksRefused: number;
}

export interface GuestProcess {
	/** As the guest's first process sees it. */
	readonly pid: number;
	readonly parentPid: number;
	/** Process group. */
	readonly groupId: number;
	/** Path of its program in the guest; empty if very long. */
	readonly program: string;
	/** The first of its arguments, which tell what a program runs in its turn; a very long one is empty. */
	readonly args: readonly string[];
	/** Resident memory, bytes. */
	readonly memoryBytes: number;
}

/** Processes and threads of what users started in a guest, which bounds their number itself: a fork too many fails. */
export interface GuestPrograms {
	readonly count: number;
	readonly max: number;
	/** Forks that failed for it so far. */
	readonly refused: number;
}

/**
 * What the host holds a container to, and the means to act before it must. The guest is told `Resources.memoryMB`;
 * the host allows more, so that the engine's own memory fits and somebody can choose what ends when the guest takes
 * too much. Exists only where the host has cgroups.
 */
export interface ContainerLimits {
	/** Host tasks a container may have at most; one more ends it. */
	readonly maxTasks: number;
	/** Undefined: no such container. */
	usage(id: string): ContainerUsage | undefined;
	/** Costs more than `usage`. Undefined: no such container. */
	pressure(id: string): ContainerPressure | undefined;
	/** Sets the hard limit that belongs to these resources. @throws Error when more than that cannot be reclaimed */
	tighten(id: string, resources: Resources): Promise<void>;
	/** Guest processes, asked of the engine itself: works while the guest is busy. @throws AnswerTooLongError */
	processes(id: string, signal: AbortSignal): Promise<readonly GuestProcess[]>;
	/** How many threads each guest process has, by its pid. @throws AnswerTooLongError */
	threads(id: string, signal: AbortSignal): Promise<ReadonlyMap<number, number>>;
	/** Sends SIGKILL to one guest process. */
	killProcess(id: string, pid: number, signal: AbortSignal): Promise<void>;
	/** Sends SIGKILL to a guest's process group. */
	killGroup(id: string, groupId: number, signal: AbortSignal): Promise<void>;
	/** Undefined: this guest does not bound its programs. */
	programs(id: string, signal: AbortSignal): Promise<GuestPrograms | undefined>;
	/** Sends SIGKILL to everything that users started, at once: nothing can fork away from it. The guest's services live on. */
	killPrograms(id: string, signal: AbortSignal): Promise<void>;
}

export type ContainerStatus = "created" | "running" | "paused" | "stopped";

export interface ContainerState {
	readonly id: string;
	readonly status: ContainerStatus;
	/** Host pid of the engine's process for this container; it ends when the container does. */
	readonly pid: number;
}

/** What the first processes of a container printed since it was last taken. */
export interface TakenOutput {
	/** The end of it. */
	readonly text: string;
	/** How much there was in all. */
	readonly bytes: number;
}

/** A container that may stand still for ever: nobody could let it run again, so that all that is left is to remove it. */
export class StuckError extends AggregateError {
	override readonly name = "StuckError";

	/** @param errors what happened, in this order */
	constructor(containerId: string, errors: readonly unknown[]) {
		super(errors, `container ${containerId} could not be let run again: ${errors.join("; ")}`);
	}
}

/** A guest has made so much of what its engine was asked for that nobody reads it to the end. */
export class AnswerTooLongError extends Error {
	override readonly name = "AnswerTooLongError";

	/** @param what the engine was asked for */
	constructor(what: string, maxBytes: number) {
		super(`the sandbox answered ${what} with more than ${maxBytes} bytes`);
	}
}

export interface SandboxEngine {
	readonly build: EngineBuild;
	/** Undefined when the host cannot bound containers. */
	readonly limits: ContainerLimits | undefined;
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
	/**
	 * @param signal undoes it when aborted before the container stands still
	 * @throws StuckError when it may stand still for ever; whatever else was the matter: it runs then
	 */
	pause(id: string, signal: AbortSignal): Promise<void>;
	/** No error when it runs already. @param signal ends the waiting for other calls */
	resume(id: string, signal: AbortSignal): Promise<void>;
	/**
	 * Stops a running container while `work` goes on and lets it run afterwards, whatever becomes of `work`; one that is
	 * paused already stays so. A guest that is too busy to answer does so then. Other calls that stop the container or
	 * need it as it is wait; after a kill of the server it is found paused.
	 * @param signal ends the waiting for them
	 * @throws StuckError when it could not be let run again; what `work` throws; Error when it did not stop, and runs
	 */
	whileStill<T>(id: string, work: () => Promise<T>, signal: AbortSignal): Promise<T>;
	/** Ends the container and removes all the engine keeps for it. No error if there is none. */
	remove(id: string, signal: AbortSignal): Promise<void>;
	/**
	 * What the container's processes wrote to the standard output and error they were started with, since the last
	 * call; of more than `maxBytes` the older part is lost, and less than `minBytes` is left for later. Must be called now and then: it is kept in memory of the host.
	 */
	takeOutput(id: string, maxBytes: number, minBytes?: number): TakenOutput;
	/** Every container of this engine build, also those started before a crash of the server. */
	list(signal: AbortSignal): Promise<readonly ContainerState[]>;
}
