/**
 * Snapshots of running sandboxes: the source goes on under its id. A snapshot is listed only when its artifact is
 * durable, since names, build and tag become visible in one transaction after the node has published it.
 */
import type { Repositories, SandboxRecord, SnapshotRecord, TemplateRecord } from "../fleet/index.ts";
import type { ArtifactFacts } from "../node/index.ts";
import {
	DEFAULT_TAG,
	newTemplateId,
	OffshootError,
	parseTemplateRef,
	sandboxNotFound,
	type TemplateRef,
} from "../protocol/index.ts";
import { backToRunning, type Core, now, orderKey } from "./core.ts";
import { decide } from "./decide.ts";
import type { Operation } from "./operations.ts";
import { buildOf } from "./pause.ts";
import type { CreateSnapshotRequest, Team } from "./types.ts";

/** @throws OffshootError invalid_request, not_found (also for a paused sandbox), conflict, and what the node refuses */
export async function createSnapshot(
	core: Core,
	team: Team,
	sandboxId: string,
	request: CreateSnapshotRequest,
	artifactId: string,
	signal: AbortSignal,
): Promise<SnapshotRecord> {
	core.assertOpen();
	const name = request.name === undefined ? undefined : ownName(team, request.name);
	return decide(
		core,
		"snapshot",
		() => core.ledger.owned(team, sandboxId),
		{
			go: (record) =>
				core.operations.begin(record.id, "snapshotting", (operation) =>
					capture(core, operation, record, {
						artifactId,
						memory: request.memory,
						envs: request.inheritEnv ? record.envs : {},
						signal,
						commit: (source, facts) => recordSnapshot(core, team, name, source, facts),
					}),
				),
		},
		signal,
	);
}

export interface Capture<T> {
	/** Id of the artifact to make: a new one. */
	readonly artifactId: string;
	/** False: the files alone. */
	readonly memory: boolean;
	/** Global environment to keep with the image. */
	readonly envs: Readonly<Record<string, string>>;
	readonly signal: AbortSignal;
	/** Puts the source back to running and records what was made, in one step. */
	readonly commit: (source: SandboxRecord, facts: ArtifactFacts) => Promise<T>;
}

/** Captures a running sandbox. Whatever fails, the source runs on and the artifact goes. */
export async function capture<T>(core: Core, operation: Operation, record: SandboxRecord, what: Capture<T>): Promise<T> {
	const { artifactId, memory, envs } = what;
	const source = await core.ledger.move(record, {
		state: "snapshotting",
		operationId: operation.id,
		pendingArtifactId: artifactId,
	});
	const signal = AbortSignal.any([what.signal, operation.signal]);
	try {
		const order = { ...orderKey(source, operation), artifactId, memory, kind: "snapshot", envs } as const;
		const facts = await core.node.capture(order, signal);
		signal.throwIfAborted();
		return await what.commit(source, facts);
	} catch (error) {
		await backToRunning(core, operation, source, async () => {});
		throw error;
	}
}

/** Lets the source run on, in a transaction of the caller. @throws OffshootError not_found when it was killed */
export async function release({ sandboxes }: Pick<Repositories, "sandboxes">, source: SandboxRecord): Promise<SandboxRecord> {
	const row = await sandboxes.compareAndSet(source.id, source, {
		state: "running",
		operationId: undefined,
		pendingArtifactId: undefined,
	});
	if (!row) throw sandboxNotFound(source.id);
	return row;
}

async function recordSnapshot(
	core: Core,
	team: Team,
	name: TemplateRef | undefined,
	source: SandboxRecord,
	facts: ArtifactFacts,
): Promise<SnapshotRecord> {
	const tag = name?.tag ?? DEFAULT_TAG;
	const { snapshot, running } = await core.fleet.transaction(async (repositories) => {
		const running = await release(repositories, source);
		const template = await templateFor(core, repositories, team, name, source);
		await repositories.builds.insert(buildOf(source, facts, template.id));
		await repositories.templates.moveTag({ templateId: template.id, tag, buildId: facts.artifactId, at: now(core) });
		const build = await repositories.builds.get(facts.artifactId);
		if (!build) throw new Error(`build ${facts.artifactId} vanished in its own transaction`);
		return { snapshot: { tag, templateId: template.id, build }, running };
	});
	core.ledger.accept(running);
	core.log.info({ sandboxId: source.id, artifactId: facts.artifactId, pauseMs: facts.pauseMs }, "snapshot taken");
	return snapshot;
}

/** The snapshot that a request has made, deleted or not; "unsettled" while its capture may still be finished or undone. */
export async function createdSnapshot(
	core: Core,
	request: CreateSnapshotRequest,
	artifactId: string,
): Promise<SnapshotRecord | "unsettled" | undefined> {
	const build = await core.fleet.builds.get(artifactId);
	const tag = request.name === undefined ? DEFAULT_TAG : (parseTemplateRef(request.name, "name").tag ?? DEFAULT_TAG);
	if (build?.templateId !== undefined) return { tag, templateId: build.templateId, build };
	const pending = [...core.ledger.all()].some((record) => record.pendingArtifactId === artifactId);
	return pending ? "unsettled" : undefined;
}

/** A name that is ours already gets another build; anything else is a new template. */
async function templateFor(
	core: Core,
	{ templates }: Repositories,
	team: Team,
	name: TemplateRef | undefined,
	source: SandboxRecord,
): Promise<Pick<TemplateRecord, "id">> {
	const known = name && (await templates.byAlias(team.slug, name.alias));
	if (known) return known;
	const template = {
		id: newTemplateId(),
		teamId: team.id,
		kind: "snapshot",
		public: false,
		sourceSandboxId: source.id,
		createdAt: now(core),
	} as const;
	await templates.insert(template);
	if (name) {
		await templates.addAlias({
			namespace: team.slug,
			alias: name.alias,
			templateId: template.id,
			createdAt: template.createdAt,
		});
	}
	return template;
}

function ownName(team: Team, text: string): TemplateRef {
	const name = parseTemplateRef(text, "name");
	if (name.namespace === undefined || name.namespace === team.slug) return name;
	throw new OffshootError(
		"invalid_request",
		`name '${text.slice(0, 140)}': the namespace must be your team's, '${team.slug}', or be left out`,
	);
}
