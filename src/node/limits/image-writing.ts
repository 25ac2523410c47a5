import type { Logger } from "pino";
import type { ContainerLimits, ContainerPressure, EngineBuild, SandboxEngine } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import type { ContainerRecord, Records } from "../records.ts";
import { hostBound } from "./bounds.ts";

/**
 * Lets images of containers be written, and knows of which one is. The engine takes memory of its own for it, by what it
 * keeps of the guest's files, and would be ended with the whole sandbox where the host has no room for that: such an
 * image is refused before anything stands still.
 */
export interface ImageWritingOptions {
	readonly records: Pick<Records, "amend">;
	readonly engines: { open(build: EngineBuild): Promise<Pick<SandboxEngine, "limits">> };
	readonly log: Logger;
}

export class ImageWriting {
	readonly #options: ImageWritingOptions;
	readonly #now = new Set<string>();

	constructor(options: ImageWritingOptions) {
		this.#options = options;
	}

	has(containerId: string): boolean {
		return this.#now.has(containerId);
	}

	/**
	 * @param work writes memory and files, or the files alone
	 * @throws OffshootError no_space when the engine would need more memory for it than the host allows; nothing was begun
	 */
	async during<T>(record: ContainerRecord, what: "memory" | "files", work: () => Promise<T>): Promise<T> {
		const { containerId, resources } = record;
		const { limits } = await this.#options.engines.open(record.engine);
		const pressure = limits?.pressure(containerId);
		const needed = pressure && (what === "memory" ? neededBytes(pressure, record.imageEngineBytes) : neededForFiles(pressure));
		if (needed !== undefined) requireRoom(needed, hostBound(resources), HINTS[what]);
		this.#now.add(containerId);
		try {
			const written = await work();
			// Of one that failed nobody knows how much of its memory was taken, and the files alone take little.
			if (limits && what === "memory") this.#note(limits, record);
			return written;
		} finally {
			this.#now.delete(containerId);
		}
	}

	/** The engine keeps much of the memory it took, and uses it again for the next image: also of a server started anew. */
	#note(limits: ContainerLimits, { containerId, sandboxId }: ContainerRecord): void {
		const { records, log } = this.#options;
		const after = limits.pressure(containerId);
		if (after === undefined) return;
		try {
			records.amend(containerId, { imageEngineBytes: after.engineBytes });
		} catch (error) {
			// The image is none the worse for it.
			log.warn({ err: error, sandboxId }, "what an image took of memory could not be written down; the next may be refused");
		}
	}
}

/** Measured with 20,000 to 200,000 files: the engine has 2.6 to 2.9 times as much afterwards. */
const WRITING_FACTOR = 3;

/** Bytes of guest and engine when the image is written. @param held engine bytes after the last one of the same guest */
export function neededBytes({ guestBytes, engineBytes }: ContainerPressure, held = 0): number {
	const since = Math.max(0, engineBytes - held);
	return guestBytes + held + WRITING_FACTOR * since;
}

/** Measured with 140,000 files: the engine has 1.2 times as much while their archive is written. */
const FILES_FACTOR = 1.5;

function neededForFiles({ guestBytes, engineBytes }: ContainerPressure): number {
	return guestBytes + FILES_FACTOR * engineBytes;
}

const HINTS = {
	memory:
		"Remove files it no longer needs, pack them into an archive, or ask for the files alone (memory: false), which takes less",
	files: "Remove files it no longer needs, or pack them into an archive",
} as const;

function requireRoom(needed: number, allowed: number, hint: string): void {
	if (needed <= allowed) return;
	const mb = (bytes: number) => Math.ceil(bytes / (1024 * 1024));
	throw new OffshootError(
		"no_space",
		`The sandbox has too many files for a snapshot or a pause: writing them down may take ${mb(needed)} MB of memory, of which its host ` +
			`allows ${mb(allowed)} MB. ${hint}; the sandbox goes on running.`,
		{ errorCode: "insufficient_memory", shouldRetry: false },
	);
}
