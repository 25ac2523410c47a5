/**
 * `<cache directory>/runsc`: one directory per obtained runsc, named by version and digest. A directory appears whole,
 * by rename, and is never changed; what a crash left half-written starts with a dot and is never looked at.
 */
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { OffshootError } from "../../../protocol/index.ts";
import { type Inspection, inspectRunsc } from "./inspect.ts";
import { MODULE_VERSION } from "./version.ts";

const DIGITS = 12;

export class RunscCache {
	readonly #dir: string;

	constructor(cacheDir: string) {
		this.#dir = join(cacheDir, "runsc");
	}

	get lockPath(): string {
		return join(this.#dir, ".lock");
	}

	/** Newest release, else the build that belongs to this version of Offshoot; undefined when there is neither. */
	async find(signal: AbortSignal): Promise<Extract<Inspection, { usable: true }> | undefined> {
		const names = await readdir(this.#dir).catch(() => []);
		const found: Extract<Inspection, { usable: true }>[] = [];
		for (const name of names.filter((name) => !name.startsWith("."))) {
			const inspection = await inspectRunsc(join(this.#dir, name, "runsc"), signal);
			// A name that does not match tells of a damaged disk or of a changed file: not to be trusted either way.
			if (inspection.usable && entryName(inspection) === name) found.push(inspection);
		}
		const releases = found.filter((entry) => entry.kind === "release").sort(byVersion);
		return releases.at(-1) ?? found.find((entry) => entry.runsc.version === MODULE_VERSION);
	}

	/**
	 * Fills a fresh directory through `fill`, which leaves `runsc` in it, and publishes it if the binary is usable.
	 * @throws OffshootError internal when it is not
	 */
	async add(fill: (dir: string) => Promise<void>, signal: AbortSignal): Promise<Extract<Inspection, { usable: true }>> {
		await mkdir(this.#dir, { recursive: true, mode: 0o755 });
		const staging = await mkdtemp(join(this.#dir, ".staging-"));
		try {
			await fill(staging);
			const inspection = await inspectRunsc(join(staging, "runsc"), signal);
			if (!inspection.usable)
				throw new OffshootError(
					"internal",
					`the runsc obtained cannot be used: ${inspection.reason}. FIX: name a usable one with OFFSHOOT_RUNSC, or a directory with a newer release with OFFSHOOT_RUNSC_URL`,
				);
			const target = join(this.#dir, entryName(inspection));
			// runsc starts its own file again as an unprivileged user, who must be able to reach it.
			await chmod(staging, 0o755);
			await chmod(join(staging, "runsc"), 0o755);
			await rm(target, { recursive: true, force: true });
			await rename(staging, target);
			return { ...inspection, runsc: { ...inspection.runsc, path: join(target, "runsc") } };
		} finally {
			await rm(staging, { recursive: true, force: true });
		}
	}
}

function entryName(entry: Extract<Inspection, { usable: true }>): string {
	return `${entry.runsc.version}-${entry.runsc.sha256.slice(0, DIGITS)}`;
}

function byVersion(a: Extract<Inspection, { usable: true }>, b: Extract<Inspection, { usable: true }>): number {
	return a.runsc.version.localeCompare(b.runsc.version, "en", { numeric: true });
}
