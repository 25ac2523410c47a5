/** The built-in templates: what they are, and how a server comes to have them. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { packageGuest } from "../../guest/agent/package.ts";
import type { Engines, Resources, SlotPool } from "../engine/index.ts";
import { type ArtifactFacts, buildRootfs, buildTemplate, type Trust } from "../node/index.ts";
import type { Store } from "../store/index.ts";
import type { Config } from "./config.ts";
import { REPOSITORY } from "./repository.ts";
import type { Progress } from "./terminal/progress.ts";

interface BuiltIn {
	readonly name: "base" | "code-interpreter-v1";
	readonly resources: Resources;
	readonly interpreter: boolean;
	/** Containers kept made ahead for it. */
	readonly ahead: number;
}

const BUILT_IN: readonly BuiltIn[] = [
	{ name: "base", resources: { cpuCount: 2, memoryMB: 1024, diskSizeMB: 10_240 }, interpreter: false, ahead: 1 },
	{ name: "code-interpreter-v1", resources: { cpuCount: 2, memoryMB: 2048, diskSizeMB: 10_240 }, interpreter: true, ahead: 2 },
];

export interface BuiltTemplate extends BuiltIn {
	readonly facts: ArtifactFacts;
}

export interface TemplateRooms {
	readonly store: Store;
	readonly engines: Engines;
	readonly slots: SlotPool;
	readonly trust: Trust | undefined;
}

/** Builds what is not built yet; with everything cached this takes a second. */
export async function prepareTemplates(
	config: Config,
	rooms: TemplateRooms,
	progress: Progress,
	signal: AbortSignal,
): Promise<readonly BuiltTemplate[]> {
	const guest = await progress.step("Guest agent", () => prepareGuest(config.cacheDir, signal));
	const built: BuiltTemplate[] = [];
	for (const template of BUILT_IN) {
		const facts = await progress.step(`Template ${template.name}`, async (detail) => {
			const { name, resources, interpreter } = template;
			const build = await buildRootfs(
				{ template: name, cacheDir: config.cacheDir, nodeBinary: process.execPath, agentTree: guest.dir, onProgress: detail },
				signal,
			);
			const rootfs = await rooms.store.addRootfs(build, signal);
			detail("booting it and taking its snapshot");
			return buildTemplate(rooms, { name, rootfs, agentVersion: guest.version, resources, interpreter }, signal);
		});
		built.push({ ...template, facts });
	}
	return built;
}

interface Guest {
	readonly dir: string;
	readonly version: string;
}

/** The tree for /opt/offshoot, cached by what it is made of. */
async function prepareGuest(cacheDir: string, signal: AbortSignal): Promise<Guest> {
	const parent = join(cacheDir, "guest");
	const dir = join(parent, await guestKey());
	const version = await readFile(join(dir, "VERSION"), "utf8").catch(() => undefined);
	if (version !== undefined) return { dir, version: version.trim() };
	const staging = `${dir}.tmp-${process.pid}`;
	await mkdir(parent, { recursive: true });
	await rm(staging, { recursive: true, force: true });
	try {
		const packaged = await packageGuest({ nodeBinary: process.execPath, outDir: staging }, signal);
		await rename(staging, dir).catch((error: NodeJS.ErrnoException) => {
			// Another process may have finished the same tree first: both are equal.
			if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
		});
		return { dir, version: packaged.version };
	} finally {
		await rm(staging, { recursive: true, force: true });
	}
}

/** What lies in a checkout's folders and never in a sandbox. */
const NOT_PACKAGED = new Set(["node_modules", "testing", "__pycache__"]);

/** Everything a change of which makes another tree. */
async function guestKey(): Promise<string> {
	const hash = createHash("sha256");
	const { size, mtimeMs } = await stat(process.execPath);
	hash.update(JSON.stringify([process.version, process.arch, size, mtimeMs]));
	for (const part of ["guest/agent", "guest/interpreter", "src/protocol", "package-lock.json"])
		await hashTree(hash, join(REPOSITORY, part));
	return hash.digest("hex").slice(0, 16);
}

async function hashTree(hash: ReturnType<typeof createHash>, path: string): Promise<void> {
	if ((await stat(path)).isFile()) {
		hash.update(path.slice(REPOSITORY.length)).update(await readFile(path));
		return;
	}
	const names = (await readdir(path)).filter((name) => !NOT_PACKAGED.has(name) && !name.endsWith(".test.ts"));
	for (const name of names.sort()) await hashTree(hash, join(path, name));
}
