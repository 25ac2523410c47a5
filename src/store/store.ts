import { access, mkdir, readdir, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { run, type SpecTemplate } from "../engine/index.ts";
import { OffshootError } from "../protocol/index.ts";
import { syncPath, syncTree } from "./durable.ts";
import { type Manifest, parseManifest } from "./manifest.ts";
import type { Artifact, Rootfs, Staging, Store } from "./types.ts";

/**
 * Artifacts as directories on a local disk:
 *
 *     artifacts/<id>/manifest.json spec.json image/…     published: complete, durable, immutable
 *     artifacts/.staging/…                               in the making or being deleted; emptied at start
 *     rootfs/<id>/tree/… rootfs/<id>/rootfs.json         read-only root filesystems
 *
 * Publishing is one rename after everything was synced, deleting begins with one: a crash at any moment leaves an
 * artifact either whole or invisible.
 */
export async function openStore(dataDir: string): Promise<Store> {
	const store = new DirectoryStore(dataDir);
	await store.recover();
	return store;
}

const ARTIFACT_ID = /^[0-9a-f-]{36}$/;

class DirectoryStore implements Store {
	readonly #artifacts: string;
	readonly #staging: string;
	readonly #rootfs: string;

	constructor(dataDir: string) {
		this.#artifacts = join(dataDir, "artifacts");
		this.#staging = join(this.#artifacts, ".staging");
		this.#rootfs = join(dataDir, "rootfs");
	}

	/** Removes what a crash left half made or half deleted. */
	async recover(): Promise<void> {
		await rm(this.#staging, { recursive: true, force: true });
		await mkdir(this.#staging, { recursive: true, mode: 0o700 });
		await mkdir(this.#rootfs, { recursive: true, mode: 0o755 });
		for (const name of await readdir(this.#rootfs)) {
			if (name.startsWith(".")) await rm(join(this.#rootfs, name), { recursive: true, force: true });
		}
	}

	async stage(id: string): Promise<Staging> {
		if (await exists(this.#dir(id))) throw new OffshootError("conflict", `artifact ${id} exists already`);
		const dir = join(this.#staging, id);
		await rm(dir, { recursive: true, force: true });
		await mkdir(dir, { mode: 0o700 });
		return {
			imageDir: join(dir, "image"),
			publish: (manifest, spec) => this.#publish(dir, manifest, spec),
			discard: () => rm(dir, { recursive: true, force: true }),
		};
	}

	async #publish(staged: string, manifest: Manifest, spec: SpecTemplate): Promise<Artifact> {
		await writeFile(join(staged, "manifest.json"), `${JSON.stringify(manifest, null, "\t")}\n`, { mode: 0o600 });
		await writeFile(join(staged, "spec.json"), `${JSON.stringify(spec)}\n`, { mode: 0o600 });
		await syncTree(staged);
		const dir = this.#dir(manifest.id);
		await rename(staged, dir);
		await syncPath(this.#artifacts);
		return { manifest, spec, imageDir: join(dir, "image") };
	}

	async open(id: string): Promise<Artifact | undefined> {
		const dir = this.#dir(id);
		const path = join(dir, "manifest.json");
		const text = await readFile(path, "utf8").catch(undefinedIfMissing);
		if (text === undefined) return undefined;
		const spec: unknown = JSON.parse(await readFile(join(dir, "spec.json"), "utf8"));
		if (typeof spec !== "object" || spec === null) throw new Error(`${dir}/spec.json is no specification`);
		return { manifest: parseManifest(text, path), spec: { ...spec }, imageDir: join(dir, "image") };
	}

	async list(): Promise<readonly Artifact[]> {
		const names = (await readdir(this.#artifacts)).filter((name) => ARTIFACT_ID.test(name));
		const artifacts = await Promise.all(names.map((name) => this.open(name)));
		return artifacts.filter((artifact) => artifact !== undefined);
	}

	async remove(id: string): Promise<void> {
		const trash = join(this.#staging, `deleted-${id}`);
		const moved = await rename(this.#dir(id), trash).then(() => true, undefinedIfMissing);
		if (!moved) return;
		await syncPath(this.#artifacts);
		await rm(trash, { recursive: true, force: true });
	}

	async rootfs(id: string): Promise<Rootfs> {
		const dir = join(this.#rootfs, id);
		const text = await readFile(join(dir, "rootfs.json"), "utf8").catch(undefinedIfMissing);
		if (text === undefined) {
			throw new OffshootError(
				"internal",
				`root filesystem ${id} is missing from ${this.#rootfs}: artifacts that refer to it cannot start`,
			);
		}
		const parsed: unknown = JSON.parse(text);
		if (typeof parsed !== "object" || parsed === null || !("digest" in parsed)) throw new Error(`${dir}/rootfs.json is damaged`);
		return { id, digest: String(parsed.digest), path: join(dir, "tree") };
	}

	async addRootfs(source: Rootfs, signal: AbortSignal): Promise<Rootfs> {
		const dir = join(this.#rootfs, source.id);
		if (await exists(join(dir, "rootfs.json"))) return this.rootfs(source.id);
		const staged = join(this.#rootfs, `.new-${source.id}-${process.pid}`);
		await mkdir(staged, { mode: 0o755 });
		try {
			await linkOrCopyTree(source.path, join(staged, "tree"), signal);
			await writeFile(join(staged, "rootfs.json"), `${JSON.stringify({ id: source.id, digest: source.digest })}\n`);
			await syncPath(join(staged, "rootfs.json"));
			await rename(staged, dir);
			await syncPath(dirname(dir));
		} finally {
			await rm(staged, { recursive: true, force: true });
		}
		return this.rootfs(source.id);
	}

	async pruneRootfs(inUse: ReadonlySet<string>): Promise<void> {
		const unused = (await readdir(this.#rootfs)).filter((id) => !id.startsWith(".") && !inUse.has(id));
		for (const id of unused) {
			// Renamed first: a crash in between leaves a name that the next start sweeps, never half a tree under its id.
			const trash = join(this.#rootfs, `.deleted-${id}`);
			await rename(join(this.#rootfs, id), trash);
			await rm(trash, { recursive: true, force: true });
		}
	}

	async freeBytes(): Promise<number> {
		const { bavail, bsize } = await statfs(this.#artifacts);
		return bavail * bsize;
	}

	#dir(id: string): string {
		// Ids become paths: anything but a UUID could reach outside.
		if (!ARTIFACT_ID.test(id)) throw new OffshootError("invalid_request", `'${id}' is no artifact id`);
		return join(this.#artifacts, id);
	}
}

/** Hard links where the disk is the same: trees are immutable, so sharing their files is safe and takes a second. */
async function linkOrCopyTree(source: string, target: string, signal: AbortSignal): Promise<void> {
	try {
		await run("cp", ["-al", source, target], { signal, timeoutMs: 10 * 60_000 });
	} catch (error) {
		if (signal.aborted) throw error;
		await rm(target, { recursive: true, force: true });
		await run("cp", ["-a", "--reflink=auto", source, target], { signal, timeoutMs: 30 * 60_000 });
		await run("sync", ["--file-system", target], { signal, timeoutMs: 10 * 60_000 });
	}
}

async function exists(path: string): Promise<boolean> {
	return access(path).then(
		() => true,
		() => false,
	);
}

function undefinedIfMissing(error: unknown): undefined {
	if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
	throw error;
}
