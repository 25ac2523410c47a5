/** The built-in templates: what they are, and how a server comes to have them. */
import type { Engines, Resources, SlotPool } from "../engine/index.ts";
import { type ArtifactFacts, buildRootfs, buildTemplate, type Trust } from "../node/index.ts";
import type { Store } from "../store/index.ts";
import type { Config } from "./config.ts";
import { prepareGuest } from "./guest.ts";
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
				{ template: name, cacheDir: config.cacheDir, ingredients: guest.ingredients, onProgress: detail },
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
