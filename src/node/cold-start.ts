/**
 * Cold starts: the files of an artifact without its memory. Init and everything it starts begin anew, so the agent is
 * reached with a control key made for this start. An artifact that holds memory gives its files through a container
 * that is restored, frozen at once and never connected to anything; the artifact stays as it is.
 */
import { randomUUID } from "node:crypto";
import type { ContainerConfig, ContainerState, SandboxEngine } from "../engine/index.ts";
import type { Artifact } from "../store/index.ts";
import { requireHeadRoom } from "./capture.ts";
import { newControlKey } from "./control-key.ts";
import { firstKeyEnv } from "./init-env.ts";
import type { NodeOptions } from "./options.ts";

export interface ColdStarted {
	readonly state: ContainerState;
	/** Private half of the key that the new agent trusts. */
	readonly controlKey: string;
}

type Parts = Pick<NodeOptions, "store" | "slots">;

const CLEANUP_TIMEOUT_MS = 30_000;

export async function coldStart(
	parts: Parts,
	engine: SandboxEngine,
	config: ContainerConfig,
	from: { readonly artifact: Artifact; readonly hostname: string },
	signal: AbortSignal,
): Promise<ColdStarted> {
	const { artifact, hostname } = from;
	const key = newControlKey();
	const boot = async (filesDir: string) => {
		const start = { filesDir, hostname, env: firstKeyEnv(key.publicKey) };
		return { state: await engine.bootOnFiles(config, start, signal), controlKey: key.privateKey };
	};
	if (!artifact.manifest.memory) return boot(artifact.imageDir);
	const { store } = parts;
	requireHeadRoom(await store.freeBytes(), artifact.manifest.memoryBytes);
	const staging = await store.stage(randomUUID());
	try {
		await extractFiles(parts, engine, config, artifact, staging.imageDir, signal);
		return await boot(staging.imageDir);
	} finally {
		await staging.discard();
	}
}

/** The restored processes go on for the milliseconds until they are frozen; the slot reaches nothing meanwhile. */
async function extractFiles(
	{ slots }: Parts,
	engine: SandboxEngine,
	config: ContainerConfig,
	artifact: Artifact,
	filesDir: string,
	signal: AbortSignal,
): Promise<void> {
	const slot = await slots.acquire(signal);
	const id = `files-${config.id}`;
	try {
		await slots.prepare(slot, signal);
		await engine.restore({ ...config, id, slot }, artifact.imageDir, signal);
		await engine.pause(id, signal);
		await engine.captureFiles(id, filesDir, signal);
	} finally {
		await engine.remove(id, AbortSignal.timeout(CLEANUP_TIMEOUT_MS));
		await slots.release(slot);
	}
}
