import { cp, link, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { OffshootError } from "../../protocol/index.ts";
import type { Cgroups } from "../cgroups/index.ts";
import { run } from "../command.ts";
import type { EngineBuild, SandboxEngine } from "../types.ts";
import { createGvisorEngine } from "./engine.ts";
import { awaitCommands, killUnknown } from "./orphans.ts";
import { createRunsc } from "./runsc.ts";

/**
 * The engine binaries of a data directory. Every binary that ever wrote an artifact is kept under its version and
 * digest, since an image can be restored only by the binary that wrote it; upgrading adds one and removes none.
 */
export interface EngineSource extends EngineBuild {
	/** Path of the binary. */
	readonly path: string;
	readonly extraFlags: readonly string[];
}

export interface Engines {
	/** Engine for new templates. */
	readonly current: SandboxEngine;
	/** Engine that wrote an artifact. @throws OffshootError internal when its binary is gone */
	open(build: EngineBuild): Promise<SandboxEngine>;
	/** Every engine that may have containers. */
	opened(): readonly SandboxEngine[];
	/** After a start: waits for commands that a killed server left running, and ends sandboxes that runsc lost track of. */
	settle(signal: AbortSignal): Promise<void>;
	/** Removes what runsc leaves on the host after its last container. */
	destroy(signal: AbortSignal): Promise<void>;
}

export interface EnginesOptions {
	/** `engines/` of the data directory. */
	readonly dir: string;
	/** Runtime directory of this instance, emptied at a reboot. */
	readonly runtimeDir: string;
	readonly overlayDir: string;
	/** Undefined where the host has none to bound containers with. */
	readonly cgroups: Cgroups | undefined;
}

const KEY_DIGITS = 12;

/** @param source binary for new templates; undefined opens what is installed, for cleaning up */
export async function openEngines(options: EnginesOptions, source: EngineSource | undefined): Promise<Engines> {
	await mkdir(options.dir, { recursive: true, mode: 0o755 });
	if (source !== undefined) await install(options.dir, source);
	const engines = new EngineDirectory(options);
	await engines.openAll();
	return engines.withCurrent(source);
}

function buildKey(build: EngineBuild): string {
	return `${build.version}-${build.sha256.slice(0, KEY_DIGITS)}`;
}

async function install(dir: string, source: EngineSource): Promise<void> {
	const target = join(dir, buildKey(source));
	if (await readFile(join(target, "engine.json")).catch(() => undefined)) return;
	const staging = `${target}.tmp-${process.pid}`;
	await rm(staging, { recursive: true, force: true });
	await mkdir(staging, { recursive: true, mode: 0o755 });
	await link(source.path, join(staging, "runsc")).catch(() => cp(source.path, join(staging, "runsc")));
	// A release keeps its helper programs beside it and does not start without them.
	await cp(join(dirname(source.path), "gvisor-bin"), join(staging, "gvisor-bin"), { recursive: true }).catch(ignoreMissing);
	const { version, sha256, extraFlags } = source;
	await writeFile(join(staging, "engine.json"), `${JSON.stringify({ version, sha256, extraFlags }, null, "\t")}\n`);
	await rename(staging, target).catch(async (error) => {
		await rm(staging, { recursive: true, force: true });
		// Another process may have installed the same build meanwhile: one of the two wins, both are equal.
		if (!(await readFile(join(target, "engine.json")).catch(() => undefined))) throw error;
	});
}

function ignoreMissing(error: unknown): void {
	if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
	throw error;
}

class EngineDirectory {
	readonly #options: EnginesOptions;
	readonly #engines = new Map<string, SandboxEngine>();
	readonly #stateDirs = new Map<SandboxEngine, string>();

	constructor(options: EnginesOptions) {
		this.#options = options;
	}

	async openAll(): Promise<void> {
		for (const name of await readdir(this.#options.dir)) {
			if (!name.includes(".tmp-")) await this.#load(name);
		}
	}

	async #load(key: string): Promise<SandboxEngine | undefined> {
		const dir = join(this.#options.dir, key);
		const text = await readFile(join(dir, "engine.json"), "utf8").catch(() => undefined);
		if (text === undefined) return undefined;
		const { cgroups } = this.#options;
		const { extraFlags, ...build } = parseEngineFile(text, dir);
		// One state directory per build: the format of runsc's own records may differ between versions.
		const runtime = join(this.#options.runtimeDir, "engines", key);
		const stateDir = join(runtime, "runsc");
		await mkdir(stateDir, { recursive: true, mode: 0o700 });
		const engine = createGvisorEngine({
			build,
			runsc: createRunsc({ binary: join(dir, "runsc"), stateDir, extraFlags, cgroups: cgroups !== undefined }),
			stateDir,
			bundleDir: join(runtime, "bundles"),
			overlayDir: this.#options.overlayDir,
			cgroups,
		});
		this.#engines.set(key, engine);
		this.#stateDirs.set(engine, stateDir);
		return engine;
	}

	withCurrent(build: EngineBuild | undefined): Engines {
		const find = (wanted: EngineBuild) => {
			const engine = this.#engines.get(buildKey(wanted));
			if (engine !== undefined) return engine;
			throw new OffshootError(
				"internal",
				`The engine that wrote this artifact (${buildKey(wanted)}) is missing from ${this.#options.dir}: put its runsc binary back to restore it`,
			);
		};
		const open = async (wanted: EngineBuild) => find(wanted);
		return {
			get current() {
				if (build === undefined) throw new Error("engines were opened for cleaning up only");
				return find(build);
			},
			open,
			settle: async (signal) => {
				const known = new Set<string>();
				for (const [engine, stateDir] of this.#stateDirs) {
					await awaitCommands(stateDir, signal);
					const ids = (await engine.list(signal)).map((container) => container.id);
					await killUnknown(stateDir, ids);
					for (const id of ids) known.add(id);
				}
				await removeStrayGroups(this.#options.cgroups, known);
			},
			opened: () => [...this.#engines.values()],
			destroy: async (signal) => {
				// runsc keeps an empty namespace mounted in its state directory after the last container.
				for (const dir of this.#stateDirs.values()) await run("umount", [join(dir, "null-netns")], { signal }).catch(() => {});
				await rm(join(this.#options.runtimeDir, "engines"), { recursive: true, force: true });
				await this.#options.cgroups?.destroy();
			},
		};
	}
}

/** Groups of containers that no engine knows: a start that was cut off in the middle. */
async function removeStrayGroups(cgroups: Cgroups | undefined, known: ReadonlySet<string>): Promise<void> {
	if (cgroups === undefined) return;
	for (const id of cgroups.list()) if (!known.has(id)) await cgroups.remove(id);
}

function parseEngineFile(text: string, dir: string): EngineBuild & { extraFlags: readonly string[] } {
	const parsed: unknown = JSON.parse(text);
	if (
		typeof parsed === "object" &&
		parsed !== null &&
		"version" in parsed &&
		typeof parsed.version === "string" &&
		"sha256" in parsed &&
		typeof parsed.sha256 === "string" &&
		"extraFlags" in parsed &&
		Array.isArray(parsed.extraFlags)
	) {
		return { version: parsed.version, sha256: parsed.sha256, extraFlags: parsed.extraFlags.map(String) };
	}
	throw new Error(`${dir}/engine.json is damaged: delete the directory and start again to reinstall the engine`);
}
