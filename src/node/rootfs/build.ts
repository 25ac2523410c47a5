/**
 * Builds root filesystems of built-in templates, in layers: Debian packages with Node, then what a derived template adds,
 * then the guest agent. Each layer is cached by what it is made of, so a new agent costs seconds, not minutes.
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { FileLock } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import { type CachedTree, findTree, makeTree, removeUnusedTrees, sweepCache, type Workshop } from "./cache.ts";
import { openChroot, SCRATCH_INSIDE } from "./chroot.ts";
import { bootstrapDebian, placeFiles, placeNode } from "./debian.ts";
import {
	type BuiltInTemplate,
	type DebianTemplate,
	type DerivedTemplate,
	isDerived,
	loadTemplate,
	type TemplateDefinition,
} from "./definition.ts";
import { assertUntouched, compileJavaKernel, compilePython, copyParent, installDebian, installPython } from "./derived.ts";
import { treeDigest } from "./digest.ts";
import type { Ingredients } from "./ingredients.ts";
import { run } from "./run.ts";
import { type Progress, runStep } from "./steps.ts";

/** Part of every id. Grows when the steps below make something else of the same definition. */
const RECIPE = 2;

export interface RootfsBuild {
	/** `<template>-<hash>` of everything the root filesystem is made of. */
	readonly id: string;
	/** Directory to be the root of a sandbox; read-only by agreement. */
	readonly path: string;
	/** treeDigest of `path`. */
	readonly digest: string;
}

export interface BuildRootfsOptions {
	readonly template: BuiltInTemplate | TemplateDefinition;
	/** Made if missing. May be shared by several instances of one machine. */
	readonly cacheDir: string;
	readonly ingredients: Ingredients;
	/** Gets lines for people: which step runs and how long it took. */
	readonly onProgress: Progress;
}

interface Build {
	readonly cacheDir: string;
	readonly ingredients: Ingredients;
	readonly onProgress: Progress;
	readonly signal: AbortSignal;
}

/**
 * Returns the root filesystem of a template, building what is not in the cache yet. Needs root, mmdebstrap, npm and the
 * network, none of them when it is cached. Throws OffshootError naming the step that failed; an abort throws the
 * signal's reason. Either way no process, mount or temporary file stays.
 */
export async function buildRootfs(options: BuildRootfsOptions, signal: AbortSignal): Promise<RootfsBuild> {
	const definition = typeof options.template === "string" ? await loadTemplate(options.template) : options.template;
	const build: Build = {
		cacheDir: resolve(options.cacheDir),
		ingredients: options.ingredients,
		onProgress: options.onProgress,
		signal,
	};
	const layerId = await layerIdOf(definition, build);
	const { agentDigest } = options.ingredients;
	const id = idOf(definition.name, { recipe: RECIPE, layerId, agentDigest });

	const cached = await findTree(build.cacheDir, "rootfs", id);
	if (cached) return cached;
	if (process.geteuid?.() !== 0)
		throw new OffshootError("forbidden", "Building a root filesystem needs root: start again with sudo");
	await mkdir(build.cacheDir, { recursive: true });
	const onWait = (): void => options.onProgress("another build uses this cache: waiting for it to end");
	using _lock = await FileLock.acquire(join(build.cacheDir, "rootfs.lock"), onWait, signal);
	await sweepCache(build.cacheDir);
	const madeMeanwhile = await findTree(build.cacheDir, "rootfs", id);
	if (madeMeanwhile) return madeMeanwhile;
	const layer = await provideLayer(definition, build);
	const built = await addAgent(id, layer, definition.name, build);
	await removeUnusedTrees(build.cacheDir);
	return built;
}

function addAgent(id: string, layer: CachedTree, name: string, build: Build): Promise<RootfsBuild> {
	const fill = async ({ tree }: Workshop): Promise<void> => {
		const target = join(tree, "opt/offshoot");
		await run(["cp", "-al", "--", layer.path, tree], build);
		await run(["install", "-d", "-m", "755", target], build);
		await run(["cp", "-a", "--", `${resolve(build.ingredients.agentTree)}/.`, target], build);
		await run(["chown", "-R", "root:root", target], build);
	};
	return step(build, `${name}: add the guest agent`, () => makeTree(build.cacheDir, "rootfs", id, fill, build.signal));
}

async function provideLayer(definition: TemplateDefinition, build: Build): Promise<CachedTree> {
	const id = await layerIdOf(definition, build);
	const cached = await findTree(build.cacheDir, "rootfs-layers", id);
	if (cached) return cached;
	if (!isDerived(definition)) return makeDebianLayer(id, definition, build);
	const parent = await provideLayer(await loadTemplate(definition.parent), build);
	return makeDerivedLayer(id, definition, parent, build);
}

function makeDebianLayer(id: string, definition: DebianTemplate, build: Build): Promise<CachedTree> {
	const { name, debian, npm, files } = definition;
	return makeTree(
		build.cacheDir,
		"rootfs-layers",
		id,
		async (workshop) => {
			const { tree, scratch } = workshop;
			await step(build, `${name}: install ${debian.packages.length} Debian packages and what they need`, () =>
				bootstrapDebian(definition, tree, join(scratch, "apt"), build.signal),
			);
			await step(build, `${name}: install Node and npm`, async () => {
				if (files) await placeFiles(files, tree, build.signal);
				await placeNode({ nodeBinary: build.ingredients.nodeBinary, npmVersion: npm }, tree, join(scratch, "npm"), build.signal);
			});
			await setUp(definition, workshop, build);
		},
		build.signal,
	);
}

function makeDerivedLayer(id: string, definition: DerivedTemplate, parent: CachedTree, build: Build): Promise<CachedTree> {
	const { name, files } = definition;
	return makeTree(
		build.cacheDir,
		"rootfs-layers",
		id,
		async (workshop) => {
			const { tree, scratch } = workshop;
			await copyParent(parent, tree, build.signal);
			await step(build, `${name}: install ${definition.debian.packages.length} Debian packages and what they need`, () =>
				installDebian(definition, tree, join(scratch, "apt"), build.signal),
			);
			await step(build, `${name}: install Python packages`, () =>
				installPython(definition, tree, join(scratch, "pip"), build.signal),
			);
			await step(build, `${name}: compile Python packages`, () =>
				compilePython(definition, tree, join(scratch, "compile"), build.signal),
			);
			await step(build, `${name}: compile the Java kernel`, () =>
				compileJavaKernel(definition, tree, join(scratch, "java"), build.signal),
			);
			if (files) await placeFiles(files, tree, build.signal);
			await setUp(definition, workshop, build);
			await assertUntouched(parent, build.signal);
		},
		build.signal,
	);
}

async function setUp(definition: TemplateDefinition, { tree, scratch }: Workshop, build: Build): Promise<void> {
	const script = definition.setup;
	if (!script) return;
	await step(build, `${definition.name}: set up`, async () => {
		const chroot = await openChroot(tree, join(scratch, "setup"));
		await copyFile(script, join(chroot.scratch, "setup.sh"));
		await chroot.run(["sh", `${SCRATCH_INSIDE}/setup.sh`], build.signal);
	});
}

function step<T>(build: Build, name: string, attempt: () => Promise<T>): Promise<T> {
	return runStep({ name, attempt, onProgress: build.onProgress, signal: build.signal });
}

async function layerIdOf(definition: TemplateDefinition, build: Build): Promise<string> {
	const { files, setup, name } = definition;
	const common = {
		recipe: RECIPE,
		arch: process.arch,
		files: files && (await treeDigest(files, build.signal)),
		setup: setup && (await readFile(setup, "utf8")),
	};
	if (!isDerived(definition)) {
		return idOf(name, { ...common, debian: definition.debian, npm: definition.npm, node: build.ingredients.nodeDigest });
	}
	const parent = await loadTemplate(definition.parent);
	return idOf(name, {
		...common,
		parent: await layerIdOf(parent, build),
		requirements: await Promise.all(definition.pythonRequirements.map((file) => readFile(file, "utf8"))),
		prune: definition.pythonPrune,
		debian: definition.debian,
		javaKernel: await treeDigest(definition.javaKernel, build.signal),
	});
}

/** Names what is described by `parts`: equal parts, equal id. */
function idOf(name: string, parts: object): string {
	return `${name}-${createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 24)}`;
}
