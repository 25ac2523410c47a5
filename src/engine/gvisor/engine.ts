import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cgroups } from "../cgroups/index.ts";
import { CommandError } from "../command.ts";
import type {
	ColdStart,
	ContainerConfig,
	ContainerLimits,
	ContainerState,
	ContainerStatus,
	EngineBuild,
	ImageFacts,
	SandboxEngine,
	TakenOutput,
} from "../types.ts";
import { openControlSocket } from "./control-socket.ts";
import { inspectFilesImage } from "./files-image.ts";
import { inspectImage } from "./image.ts";
import { containerLimits, MAX_TASKS } from "./limits.ts";
import { killContainer } from "./orphans.ts";
import { takeTail } from "./output.ts";
import type { Runsc } from "./runsc.ts";
import { bindSpec, newSpec, withColdStart } from "./spec.ts";
import { Standstill } from "./standstill.ts";

/**
 * SandboxEngine on gVisor. Guarantees: a checkpoint never ends its container, and is reported only after it was found
 * whole; a failed start leaves nothing behind.
 */
export interface GvisorOptions {
	readonly build: EngineBuild;
	readonly runsc: Runsc;
	/** runsc's records of its containers. */
	readonly stateDir: string;
	/** OCI bundles and logs of live containers: one directory each. */
	readonly bundleDir: string;
	/** Where writable layers live, as files without a name: they vanish with their container. */
	readonly overlayDir: string;
	/** Undefined where the host has none to bound containers with. */
	readonly cgroups: Cgroups | undefined;
}

const EXIT_TIMEOUT_MS = 10_000;
/** Less than the removal of a container may take, which waits for a stop that is under way. */
const STOP_TIMEOUT_MS = 25_000;
/** In a container's bundle: runsc's messages while it starts, then what the container's first process prints. */
const LOG_FILE = "runsc.log";

export function createGvisorEngine(options: GvisorOptions): SandboxEngine {
	return new GvisorEngine(options);
}

class GvisorEngine implements SandboxEngine {
	readonly build: EngineBuild;
	readonly newSpec = newSpec;
	readonly limits: ContainerLimits | undefined;
	readonly #runsc: Runsc;
	readonly #stateDir: string;
	readonly #bundleDir: string;
	readonly #overlayDir: string;
	readonly #cgroups: Cgroups | undefined;
	readonly #created = new Set<string>();
	readonly #standstill: Standstill;

	constructor(options: GvisorOptions) {
		this.build = options.build;
		this.#runsc = options.runsc;
		this.#stateDir = options.stateDir;
		this.#bundleDir = options.bundleDir;
		this.#overlayDir = options.overlayDir;
		this.#cgroups = options.cgroups;
		this.#standstill = new Standstill({
			runsc: options.runsc,
			endStop: async (id, signal) => (await openControlSocket(options.stateDir, id)).endStop(signal),
			stopTimeoutMs: STOP_TIMEOUT_MS,
		});
		this.limits = options.cgroups && containerLimits(options.cgroups, options.stateDir);
	}

	async cpuFeatures(signal: AbortSignal): Promise<readonly string[]> {
		const { stdout } = await this.#runsc.call(["cpu-features"], signal);
		return stdout
			.split(/[\s,]+/)
			.filter((name) => name !== "")
			.sort();
	}

	async boot(config: ContainerConfig, signal: AbortSignal): Promise<ContainerState> {
		await this.#writeBundle(config);
		return this.#launch(config, ["run", "-detach"], signal);
	}

	async bootOnFiles(config: ContainerConfig, start: ColdStart, signal: AbortSignal): Promise<ContainerState> {
		await this.#writeBundle({ ...config, spec: withColdStart(config.spec, start) });
		const state = await this.#launch(config, ["run", "-detach", `-fs-restore-image-path=${start.filesDir}`], signal);
		try {
			// Init runs while pages are still being read; one that could not be read shows here only.
			await this.#runsc.call(["wait", "-fsrestore", config.id], signal);
			return state;
		} catch (error) {
			await this.remove(config.id, AbortSignal.timeout(EXIT_TIMEOUT_MS)).catch(() => {});
			throw error;
		}
	}

	async create(config: ContainerConfig, signal: AbortSignal): Promise<void> {
		await this.#writeBundle(config);
		await this.#launch(config, ["create"], signal);
		this.#created.add(config.id);
	}

	async restore(config: ContainerConfig, imageDir: string, signal: AbortSignal): Promise<ContainerState> {
		// Made first in any case: the limit that tells the guest its memory leaves no room for loading the image.
		if (!this.#created.has(config.id)) await this.create(config, signal);
		this.#created.delete(config.id);
		return this.#launch(config, ["restore", "-detach", `-image-path=${imageDir}`], signal);
	}

	async #writeBundle(config: ContainerConfig): Promise<void> {
		const bundle = this.#bundle(config.id);
		await mkdir(bundle, { recursive: true, mode: 0o700 });
		await mkdir(this.#overlayDir, { recursive: true, mode: 0o700 });
		await writeFile(join(bundle, "config.json"), JSON.stringify(bindSpec(config, this.#placement(config.id))));
	}

	#placement(id: string) {
		return this.#cgroups && { cgroup: this.#cgroups.path(id), maxTasks: MAX_TASKS };
	}

	async #launch(config: ContainerConfig, command: readonly string[], signal: AbortSignal): Promise<ContainerState> {
		const bundle = this.#bundle(config.id);
		const pidFile = join(bundle, "pid");
		const overlay = `--overlay2=root:dir=${this.#overlayDir},size=${config.resources.diskSizeMB}m`;
		const args = [...command, `-bundle=${bundle}`, `-pid-file=${pidFile}`, config.id];
		try {
			await this.#runsc.launch(args, join(bundle, LOG_FILE), signal, [overlay]);
			await this.limits?.tighten(config.id, config.resources);
			return { id: config.id, status: "running", pid: Number(await readFile(pidFile, "utf8")) };
		} catch (error) {
			await this.remove(config.id, AbortSignal.timeout(EXIT_TIMEOUT_MS)).catch(() => {});
			throw error;
		}
	}

	async checkpoint(id: string, imageDir: string, signal: AbortSignal): Promise<ImageFacts> {
		await mkdir(imageDir, { mode: 0o700 });
		// Without -leave-running a save that fails ends the sandbox.
		const pauseMs = await this.#capture(
			id,
			["checkpoint", "-leave-running", "-compression=none", `-image-path=${imageDir}`],
			signal,
		);
		return { ...(await inspectImage(imageDir)), pauseMs };
	}

	async captureFiles(id: string, imageDir: string, signal: AbortSignal): Promise<ImageFacts> {
		await mkdir(imageDir, { mode: 0o700 });
		const pauseMs = await this.#capture(id, ["fscheckpoint", "-leave-running", `-image-path=${imageDir}`], signal);
		return { files: await inspectFilesImage(imageDir), memoryBytes: 0, pauseMs };
	}

	/** @returns ms that it took */
	#capture(id: string, command: readonly string[], signal: AbortSignal): Promise<number> {
		const work = async () => {
			const started = performance.now();
			await this.#runsc.call([...command, id], signal);
			return performance.now() - started;
		};
		return this.#standstill.during(id, work, signal);
	}

	pause(id: string, signal: AbortSignal): Promise<void> {
		return this.#standstill.pause(id, signal);
	}

	resume(id: string, signal: AbortSignal): Promise<void> {
		return this.#standstill.resume(id, signal);
	}

	whileStill<T>(id: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
		return this.#standstill.whileStill(id, work, signal);
	}

	async remove(id: string, signal: AbortSignal): Promise<void> {
		this.#created.delete(id);
		try {
			await this.#runsc.call(["delete", "-force", id], signal);
		} catch (error) {
			if (!isUnknownContainer(error)) throw error;
			await killContainer(this.#stateDir, id);
		}
		await this.#cgroups?.remove(id);
		await rm(this.#bundle(id), { recursive: true, force: true });
	}

	takeOutput(id: string, maxBytes: number, minBytes?: number): TakenOutput {
		return takeTail(join(this.#bundle(id), LOG_FILE), maxBytes, minBytes);
	}

	async list(signal: AbortSignal): Promise<readonly ContainerState[]> {
		const { stdout } = await this.#runsc.call(["list", "-format=json"], signal);
		return parseList(stdout);
	}

	#bundle(id: string): string {
		return join(this.#bundleDir, id);
	}
}

function isUnknownContainer(error: unknown): boolean {
	return error instanceof CommandError && /does not exist|no such file|not exist/i.test(error.stderr);
}

const STATUSES: Readonly<Record<string, ContainerStatus>> = {
	creating: "created",
	created: "created",
	running: "running",
	paused: "paused",
	stopped: "stopped",
};

function parseList(json: string): ContainerState[] {
	const parsed: unknown = JSON.parse(json === "" ? "[]" : json);
	if (!Array.isArray(parsed)) return [];
	return parsed.map((row: unknown) => {
		if (typeof row !== "object" || row === null || !("id" in row) || !("status" in row) || !("pid" in row)) {
			throw new Error(`runsc list printed an unknown row: ${JSON.stringify(row)}`);
		}
		return { id: String(row.id), status: STATUSES[String(row.status)] ?? "stopped", pid: Number(row.pid) };
	});
}
