import { randomBytes, randomUUID } from "node:crypto";
import type { Engines, Resources, SandboxEngine, Slot, SlotPool, SpecTemplate } from "../engine/index.ts";
import { CONTROL_PROTOCOL, newSandboxId, OffshootError } from "../protocol/index.ts";
import type { Artifact, Rootfs, Store } from "../store/index.ts";
import { agentClient } from "./agent-client.ts";
import { capture, factsOf } from "./capture.ts";
import { newControlKey } from "./control-key.ts";
import { hostProcess } from "./host-process.ts";
import { initEnv } from "./init-env.ts";
import type { ContainerRecord } from "./records.ts";
import type { Trust } from "./trust.ts";
import type { ArtifactFacts } from "./types.ts";

/**
 * Makes a template's warm image: boots its root filesystem cold, waits until everything in it answers, captures it.
 * The same inputs give the artifact that is there already.
 */
export interface TemplateSource {
	readonly name: string;
	readonly rootfs: Rootfs;
	readonly agentVersion: string;
	readonly resources: Resources;
	/** Whether the code interpreter runs in it and must answer before the capture. */
	readonly interpreter: boolean;
}

export interface TemplateBuilder {
	readonly store: Store;
	readonly engines: Engines;
	readonly slots: SlotPool;
	readonly trust: Trust | undefined;
}

const READY_TIMEOUT_MS = 180_000;
const CONSOLE_TAIL_BYTES = 4096;
const CLEANUP_TIMEOUT_MS = 30_000;

export async function buildTemplate(
	builder: TemplateBuilder,
	source: TemplateSource,
	signal: AbortSignal,
): Promise<ArtifactFacts> {
	const existing = await findTemplate(builder, source);
	if (existing !== undefined) return factsOf(existing.manifest);

	const engine = builder.engines.current;
	const key = newControlKey();
	const spec = engine.newSpec(source.resources, initEnv(key.publicKey, source));
	const slot = await builder.slots.acquire(signal);
	const record = templateRecord(source, engine, slot, spec, await engine.cpuFeatures(signal));
	try {
		const ready = await bootUntilReady(builder, source, { ...record, controlKey: key.privateKey }, signal);
		const request = { artifactId: randomUUID(), kind: "template", memory: true, envs: {}, templateName: source.name } as const;
		return await capture({ ...builder, whileWriting: (_, work) => work() }, ready, request, signal);
	} finally {
		await engine.remove(record.containerId, AbortSignal.timeout(CLEANUP_TIMEOUT_MS));
		await builder.slots.release(slot);
	}
}

/** An artifact of exactly this root filesystem, engine and spec; keys differ in every build and do not count. */
async function findTemplate(builder: TemplateBuilder, source: TemplateSource): Promise<Artifact | undefined> {
	const { build } = builder.engines.current;
	const wanted = specShape(builder.engines.current.newSpec(source.resources, initEnv("", source)));
	const artifacts = await builder.store.list();
	return artifacts.find(
		({ manifest, spec }) =>
			manifest.kind === "template" &&
			manifest.templateName === source.name &&
			manifest.rootfs.id === source.rootfs.id &&
			manifest.engine.sha256 === build.sha256 &&
			manifest.engine.version === build.version &&
			specShape(spec) === wanted,
	);
}

function specShape(spec: SpecTemplate): string {
	return JSON.stringify(spec).replace(/OFFSHOOT_CONTROL_KEY=[^"]*/, "");
}

async function bootUntilReady(
	builder: TemplateBuilder,
	source: TemplateSource,
	record: ContainerRecord,
	signal: AbortSignal,
): Promise<ContainerRecord> {
	const limit = AbortSignal.any([signal, AbortSignal.timeout(READY_TIMEOUT_MS)]);
	const { slot, containerId, spec, resources, sandboxId } = record;
	await builder.slots.prepare(slot, limit);
	const state = await builder.engines.current.boot(
		{ id: containerId, rootfsPath: source.rootfs.path, slot, spec, resources },
		limit,
	);
	const answers = <T>(what: string, answer: Promise<T>) =>
		answer.catch((error: unknown) => {
			signal.throwIfAborted();
			throw notReady(source, what, builder.engines.current.takeOutput(containerId, CONSOLE_TAIL_BYTES).text, error);
		});
	await answers("its guest agent", agentClient.awaitAgent(slot.address, limit));
	const next = newControlKey();
	const init = {
		sandboxId,
		templateId: source.name,
		incarnation: record.incarnation,
		generation: record.generation,
		nextControlKey: next.publicKey,
		accessToken: randomBytes(32).toString("hex"),
		newIdentity: true,
		envs: {},
		hostname: "sandbox",
		timestampMs: Date.now(),
		entropy: randomBytes(32).toString("base64"),
		...(builder.trust && { caBundle: builder.trust.bundle }),
	};
	await answers("its guest agent", agentClient.init(slot.address, init, record.controlKey, limit));
	if (source.interpreter) await answers("its code interpreter", agentClient.awaitInterpreter(slot.address, limit));
	await agentClient.compact(slot.address, limit);
	const trust = builder.trust && { trust: builder.trust.digest };
	return { ...record, phase: "ready", ...hostProcess(state.pid), controlKey: next.privateKey, ...trust };
}

/** What did not answer, and the last the template itself said about it. */
function notReady(source: TemplateSource, what: string, output: string, cause: unknown): OffshootError {
	const said = output.trim() === "" ? "It printed nothing." : `The last it printed:\n${output.trim()}`;
	return new OffshootError(
		"internal",
		`Template ${source.name} was booted, but ${what} did not come up (it has ${READY_TIMEOUT_MS / 1000} s in all). ${said}`,
		{ cause },
	);
}

function templateRecord(
	source: TemplateSource,
	engine: SandboxEngine,
	slot: Slot,
	spec: SpecTemplate,
	cpuFeatures: readonly string[],
): ContainerRecord {
	const sandboxId = newSandboxId();
	return {
		containerId: `${sandboxId}-0`,
		sandboxId,
		incarnation: 0,
		operationId: "template",
		templateId: source.name,
		artifactId: "",
		phase: "starting",
		pid: 0,
		slot,
		engine: engine.build,
		rootfs: { id: source.rootfs.id, digest: source.rootfs.digest },
		cpuFeatures: [...cpuFeatures],
		agent: { version: source.agentVersion, controlProtocol: CONTROL_PROTOCOL },
		resources: source.resources,
		spec: { ...spec },
		controlKey: "",
		generation: 0,
	};
}
