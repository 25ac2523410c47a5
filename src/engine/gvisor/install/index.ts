/**
 * Obtains runsc. What is returned is always usable: new enough, with a version string, with its sidecar programs
 * where it needs them. Nothing is installed into the system; what is brought lies in the cache directory.
 */
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { OffshootError } from "../../../protocol/index.ts";
import { FileLock } from "../../host/file-lock.ts";
import type { EngineSource } from "../engines.ts";
import { RunscCache } from "./cache.ts";
import { inspectRunsc } from "./inspect.ts";
import { buildFromModule } from "./module-build.ts";
import { defaultReleaseUrl, downloadRelease, ReleaseUnavailable } from "./release.ts";
import { OLDEST_RELEASE } from "./version.ts";

export interface FindRunscOptions {
	readonly cacheDir: string;
	/** The binary the operator chose; if it is unusable that is an error, not a reason to look elsewhere. */
	readonly runscPath?: string | undefined;
	/** Value of PATH to search; the process's own unless told. */
	readonly searchPath?: string;
}

export interface ObtainRunscOptions extends FindRunscOptions {
	/** Directory that holds the release tarball and its checksum; gVisor's newest release unless told. */
	readonly releaseUrl?: string | undefined;
	/** Told what is being done, for a person who waits. */
	readonly onProgress: (message: string) => void;
}

/** What a look around found: a usable runsc, or why each one seen is not. */
export interface RunscSearch {
	readonly runsc: EngineSource | undefined;
	readonly refusals: readonly string[];
}

/**
 * Looks for a runsc that is there already: the operator's choice, one on PATH, one obtained before. Changes nothing.
 * @throws OffshootError invalid_request when the operator's choice is unusable
 */
export async function findRunsc(options: FindRunscOptions, signal: AbortSignal): Promise<RunscSearch> {
	if (options.runscPath !== undefined) return { runsc: await chosen(options.runscPath, signal), refusals: [] };
	const refusals: string[] = [];
	const installed = await onSearchPath(options.searchPath ?? process.env.PATH ?? "");
	if (installed !== undefined) {
		const inspection = await inspectRunsc(installed, signal);
		if (inspection.usable) return { runsc: inspection.runsc, refusals };
		refusals.push(`${installed} cannot be used: ${inspection.reason}`);
	}
	const cached = await new RunscCache(options.cacheDir).find(signal);
	return { runsc: cached?.runsc, refusals };
}

/**
 * A runsc to use from now on: one that is there already, else gVisor's release, else a build from its Go module. Several
 * processes may ask at once; one of them does the work.
 * @throws OffshootError with the next step when none can be had
 */
export async function obtainRunsc(options: ObtainRunscOptions, signal: AbortSignal): Promise<EngineSource> {
	const present = await findRunsc(options, signal);
	if (present.runsc !== undefined) return present.runsc;
	for (const refusal of present.refusals) options.onProgress(refusal);

	const cache = new RunscCache(options.cacheDir);
	using _lock = await FileLock.acquire(
		cache.lockPath,
		() => options.onProgress("waiting for another process that is obtaining runsc"),
		signal,
	);
	const meanwhile = await cache.find(signal);
	if (meanwhile !== undefined) return meanwhile.runsc;

	const url = options.releaseUrl ?? defaultReleaseUrl();
	try {
		options.onProgress(`asking for gVisor's release at ${url}`);
		const release = await cache.add((dir) => downloadRelease(url, dir, options.onProgress, signal), signal);
		return release.runsc;
	} catch (error) {
		if (!(error instanceof ReleaseUnavailable)) throw error;
		options.onProgress(`no release: ${error.message}`);
	}
	const built = await cache.add((dir) => buildFromModule(dir, options.onProgress, signal), signal);
	return built.runsc;
}

async function chosen(path: string, signal: AbortSignal): Promise<EngineSource> {
	const inspection = await inspectRunsc(path, signal);
	if (inspection.usable) return inspection.runsc;
	throw new OffshootError(
		"invalid_request",
		`OFFSHOOT_RUNSC=${path} cannot be used: ${inspection.reason}. FIX: name a runsc from release-${OLDEST_RELEASE} on, or unset OFFSHOOT_RUNSC to let Offshoot obtain one`,
	);
}

async function onSearchPath(searchPath: string): Promise<string | undefined> {
	for (const dir of searchPath.split(delimiter).filter((dir) => dir !== "")) {
		const candidate = join(dir, "runsc");
		const executable = await access(candidate, constants.X_OK).then(
			() => true,
			() => false,
		);
		if (executable) return candidate;
	}
	return undefined;
}
