import { DamagedImageError, type Engines, type ImageFacts, type SandboxEngine, StuckError } from "../engine/index.ts";
import { OffshootError } from "../protocol/index.ts";
import type { ArtifactKind, Manifest, Store } from "../store/index.ts";
import { isRunning, memoryFootprint } from "./host-process.ts";
import type { ContainerRecord } from "./records.ts";
import type { ArtifactFacts } from "./types.ts";

/**
 * Turns a live container into a published artifact. Only the engine's checkpoint lies inside the guest's pause; the
 * container is never ended here, whatever fails.
 */
export interface CaptureRequest {
	readonly artifactId: string;
	readonly kind: ArtifactKind;
	/** False: the files alone. */
	readonly memory: boolean;
	readonly agentUnresponsive?: boolean;
	readonly envs: Readonly<Record<string, string>>;
	readonly templateName?: string;
}

/** Kept free on the disk of the artifacts, bytes: a full disk would hurt everything else on the machine. */
const DISK_RESERVE = 256 * 1024 * 1024;

export interface CaptureTools {
	readonly store: Store;
	readonly engines: Engines;
	/** Around the one part that the container must stand still for. @throws what forbids it */
	readonly whileWriting: <T>(record: ContainerRecord, work: () => Promise<T>) => Promise<T>;
	/** Called when nothing forbids it any more, for a guest that is to stand still from before the image until after it. */
	readonly standStill?: () => Promise<void>;
}

export async function capture(
	{ store, engines, whileWriting, standStill }: CaptureTools,
	record: ContainerRecord,
	request: CaptureRequest,
	signal: AbortSignal,
): Promise<ArtifactFacts> {
	const done = await store.open(request.artifactId);
	if (done !== undefined) return factsOf(done.manifest);

	const engine = await engines.open(record.engine);
	requireHeadRoom(await store.freeBytes(), memoryFootprint(record.pid));
	const staging = await store.stage(request.artifactId).catch((error: unknown) => {
		throw explained(error);
	});
	try {
		const image = await whileWriting(record, async () => {
			await standStill?.();
			return write(engine, record, request, staging.imageDir, signal);
		});
		const published = await staging.publish(manifestOf(record, request, image), record.spec);
		return factsOf(published.manifest);
	} catch (error) {
		await staging.discard();
		throw explained(error);
	}
}

async function write(
	engine: SandboxEngine,
	record: ContainerRecord,
	{ memory }: Pick<CaptureRequest, "memory">,
	imageDir: string,
	signal: AbortSignal,
): Promise<ImageFacts> {
	const { containerId } = record;
	try {
		return await (memory ? engine.checkpoint(containerId, imageDir, signal) : engine.captureFiles(containerId, imageDir, signal));
	} catch (error) {
		throw isRunning(record) ? error : ended(record, error);
	}
}

/** What is told of an image that could not be written. */
function explained(error: unknown): unknown {
	if (!(error instanceof DamagedImageError) && !/no space left|ENOSPC/i.test(String(error))) return error;
	return new OffshootError(
		"no_space",
		"The snapshot could not be written completely, most likely because the disk is full. Free some space and try again; the sandbox goes on running.",
		{ errorCode: "insufficient_disk_space", shouldRetry: false, cause: error },
	);
}

/**
 * Stops a guest for a pause.
 * @throws OffshootError when it did not stop in time, or ended meanwhile; StuckError when it may stand still for ever
 */
export async function freeze(engine: Pick<SandboxEngine, "pause">, record: Contained, signal: AbortSignal): Promise<void> {
	try {
		await engine.pause(record.containerId, signal);
	} catch (error) {
		if (error instanceof StuckError) throw error;
		signal.throwIfAborted();
		if (!isRunning(record)) throw ended(record, error);
		throw new OffshootError(
			"timed_out",
			"The sandbox could not be paused: its programs or its engine did not stand still in time. It goes on running; end what keeps it busy and try again, or kill it.",
			{ cause: error },
		);
	}
}

type Contained = Pick<ContainerRecord, "containerId" | "sandboxId" | "pid" | "startTicks">;

export function ended({ sandboxId }: Pick<Contained, "sandboxId">, cause: unknown): OffshootError {
	return new OffshootError("not_found", `Sandbox "${sandboxId}" ended before it could be captured; its log says why`, { cause });
}

function manifestOf(record: ContainerRecord, request: CaptureRequest, image: ImageFacts): Manifest {
	return {
		format: 2,
		kind: request.kind,
		id: request.artifactId,
		createdAt: new Date().toISOString(),
		source: { sandboxId: record.sandboxId, incarnation: record.incarnation },
		...(record.artifactId === "" ? {} : { parent: record.artifactId }),
		...(request.templateName === undefined ? {} : { templateName: request.templateName }),
		rootfs: record.rootfs,
		engine: record.engine,
		cpuFeatures: record.cpuFeatures,
		agent: record.agent,
		controlKey: record.controlKey,
		generation: record.generation,
		...(record.trust === undefined ? {} : { trust: record.trust }),
		envs: { ...request.envs },
		resources: record.resources,
		files: [...image.files],
		memoryBytes: image.memoryBytes,
		pauseMs: image.pauseMs,
		memory: request.memory,
		...(request.agentUnresponsive && { agentUnresponsive: true }),
	};
}

export function factsOf(manifest: Manifest): ArtifactFacts {
	return {
		artifactId: manifest.id,
		kind: manifest.kind,
		createdAt: manifest.createdAt,
		sizeBytes: manifest.files.reduce((sum, file) => sum + file.size, 0),
		memory: manifest.memory,
		agentUnresponsive: manifest.agentUnresponsive ?? false,
		pauseMs: manifest.pauseMs,
		engineVersion: manifest.engine.version,
		resources: manifest.resources,
		rootfsId: manifest.rootfs.id,
		envs: manifest.envs,
		...(manifest.templateName === undefined ? {} : { templateName: manifest.templateName }),
	};
}

/** Near a full disk a save can be cut short, so one that might fill it is refused before it begins. */
export function requireHeadRoom(freeBytes: number, expectedBytes: number): void {
	if (freeBytes >= expectedBytes + DISK_RESERVE) return;
	const mb = (bytes: number) => Math.ceil(bytes / (1024 * 1024));
	throw new OffshootError(
		"no_space",
		`Not enough disk space for this snapshot: it may need ${mb(expectedBytes)} MB and ${mb(DISK_RESERVE)} MB must stay free, but only ` +
			`${mb(freeBytes)} MB are left. Delete snapshots you no longer need or enlarge the disk; the sandbox goes on running.`,
		{ errorCode: "insufficient_disk_space", shouldRetry: false },
	);
}
