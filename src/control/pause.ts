/**
 * Pause and resume. A pause freezes the guest before it captures it and thaws it only if the pause fails, so nothing that
 * the guest acknowledged can be lost. A resume deletes the image only after the sandbox answered and its row says so;
 * until then a failure leaves it paused as it was.
 */
import type { NewBuild, SandboxRecord } from "../fleet/index.ts";
import type { ArtifactFacts } from "../node/index.ts";
import { newBuildId, OffshootError, sandboxNotFound } from "../protocol/index.ts";
import { backToRunning, type Core, deleteArtifact, now, orderKey, removeContainer, unlessKilled } from "./core.ts";
import { decide } from "./decide.ts";
import { toEgress } from "./network.ts";
import type { Operation } from "./operations.ts";
import { allowedTimeout, endAfter, extend } from "./timeouts.ts";
import type { PauseRequest, ResumeRequest, Team } from "./types.ts";

/** @throws OffshootError conflict when it is paused already; busy when the guest had to be healthy and is not */
export async function pause(
	core: Core,
	team: Team,
	sandboxId: string,
	request: PauseRequest,
	signal: AbortSignal,
): Promise<void> {
	// Clients expect it so. Nothing here would need the agent: what a program wrote is captured in any case.
	const requireHealthyGuest = request.requireHealthyGuest || !request.memory;
	core.assertOpen();
	await decide<unknown>(
		core,
		"pause",
		() => core.ledger.owned(team, sandboxId),
		{ go: (record) => beginPause(core, record, { ...request, requireHealthyGuest }), join: (operation) => operation.outcome },
		signal,
	);
}

/** Resumes it, or extends its time when it runs already. */
export async function connect(
	core: Core,
	team: Team,
	sandboxId: string,
	request: ResumeRequest,
	signal: AbortSignal,
): Promise<{ readonly record: SandboxRecord; readonly resumed: boolean }> {
	core.assertOpen();
	const limits = await core.limits.of(team.id);
	const timeout = allowedTimeout(limits, request.timeout);
	return decide(
		core,
		request.memory ? "connect" : "connectCold",
		() => core.ledger.owned(team, sandboxId),
		{
			go: async (record) => {
				if (record.state === "paused") return { record: await beginResume(core, record, { ...request, timeout }), resumed: true };
				return { record: await extend(core, record, limits, timeout), resumed: false };
			},
		},
		signal,
	);
}

/** @throws OffshootError conflict when it runs */
export async function resume(
	core: Core,
	team: Team,
	sandboxId: string,
	request: ResumeRequest,
	signal: AbortSignal,
): Promise<SandboxRecord> {
	core.assertOpen();
	const timeout = allowedTimeout(await core.limits.of(team.id), request.timeout);
	const find = () => core.ledger.owned(team, sandboxId);
	return decide(
		core,
		request.memory ? "resume" : "resumeCold",
		find,
		{
			go: (record) => beginResume(core, record, { ...request, timeout }),
			join: (operation) => operation.outcome.then(find),
		},
		signal,
	);
}

/** Pauses a running sandbox. Goes on when the caller leaves, since others may have joined. */
export function beginPause(core: Core, record: SandboxRecord, request: PauseRequest): Promise<SandboxRecord> {
	return core.operations.begin(record.id, "pausing", async (operation) => {
		const artifactId = newBuildId();
		const pausing = await core.ledger.move(record, {
			state: "pausing",
			operationId: operation.id,
			pendingArtifactId: artifactId,
		});
		const facts = await freeze(core, pausing, { ...request, artifactId }, operation);
		const paused = await commitPause(core, pausing, facts, operation);
		core.announceGone({ sandboxId: paused.id, incarnation: paused.incarnation });
		await removeContainer(core, orderKey(pausing, operation));
		return paused;
	});
}

async function freeze(
	core: Core,
	pausing: SandboxRecord,
	what: PauseRequest & { readonly artifactId: string },
	operation: Operation,
): Promise<ArtifactFacts> {
	const order = { ...orderKey(pausing, operation), ...what, kind: "pause", envs: pausing.envs } as const;
	try {
		return await core.node.freezeAndCapture(order, operation.signal);
	} catch (error) {
		// The node has tried already; if that failed too, it is tried until it is so.
		await backToRunning(core, operation, pausing, (signal) => core.node.unfreeze(order, signal));
		throw error;
	}
}

async function commitPause(
	core: Core,
	pausing: SandboxRecord,
	facts: ArtifactFacts,
	operation: Operation,
): Promise<SandboxRecord> {
	try {
		return await recordPause(core, pausing, facts);
	} catch (error) {
		const key = orderKey(pausing, operation);
		await backToRunning(core, operation, pausing, (signal) => core.node.unfreeze(key, signal));
		throw error;
	}
}

/** Makes the pause durable. @throws OffshootError not_found when the sandbox was killed meanwhile */
export async function recordPause(core: Core, pausing: SandboxRecord, facts: ArtifactFacts): Promise<SandboxRecord> {
	const paused = await core.fleet.transaction(async ({ sandboxes, builds }) => {
		await builds.insert(buildOf(pausing, facts, undefined));
		const row = await sandboxes.compareAndSet(pausing.id, pausing, {
			state: "paused",
			operationId: undefined,
			pendingArtifactId: undefined,
			pauseArtifactId: facts.artifactId,
			pauseMode: facts.memory ? "full" : "filesystem",
			agentUnresponsiveAtPause: facts.memory && facts.agentUnresponsive,
			address: undefined,
			endAt: now(core),
		});
		if (!row) throw sandboxNotFound(pausing.id);
		return row;
	});
	return core.ledger.accept(paused);
}

/** Build record of what was captured from a sandbox. */
export function buildOf(source: SandboxRecord, facts: ArtifactFacts, templateId: string | undefined): NewBuild {
	return {
		id: facts.artifactId,
		templateId,
		kind: facts.kind,
		resources: facts.resources,
		envdVersion: source.envdVersion,
		parentBuildId: source.artifactId,
		sourceSandboxId: source.id,
		rootfsId: facts.rootfsId,
		sizeBytes: facts.sizeBytes,
		memory: facts.memory,
		pauseMs: facts.pauseMs,
		engineVersion: facts.engineVersion,
		envs: facts.envs,
		createdAt: new Date(facts.createdAt),
	};
}

type AllowedResume = ResumeRequest & { readonly timeout: number };

/**
 * Resumes a paused sandbox as its next incarnation, for no longer than its team may. Goes on when the caller leaves, since
 * others may have joined.
 */
export function beginResume(core: Core, record: SandboxRecord, request: AllowedResume): Promise<SandboxRecord> {
	return core.operations.begin(record.id, "resuming", async (operation) => {
		const image = record.pauseArtifactId;
		if (!image) throw new Error(`paused sandbox ${record.id} has no image`);
		const { maxConcurrent, maxTimeoutSeconds } = await core.limits.of(record.teamId);
		const room = { teamId: record.teamId, maxConcurrent };
		const resuming = await core.quota.within(room, operation.signal, () =>
			core.ledger.move(record, { state: "resuming", operationId: operation.id, incarnation: record.incarnation + 1 }),
		);
		try {
			const timeout = Math.min(request.timeout, maxTimeoutSeconds);
			const running = await wake(core, resuming, image, operation, { ...request, timeout });
			await deleteArtifact(core, image);
			return running;
		} catch (error) {
			await backToPaused(core, resuming, operation);
			throw resumeFailed(core, resuming, error);
		}
	});
}

async function wake(
	core: Core,
	resuming: SandboxRecord,
	image: string,
	operation: Operation,
	{ memory, timeout, autoPause }: AllowedResume,
): Promise<SandboxRecord> {
	const started = await core.node.start(
		{
			...orderKey(resuming, operation),
			artifactId: image,
			templateId: resuming.templateId,
			memory,
			newIdentity: false,
			accessToken: resuming.accessToken,
			envs: resuming.envs,
			egress: toEgress(resuming.network, resuming.allowInternetAccess),
		},
		operation.signal,
	);
	const startedAt = now(core);
	const running = await core.fleet.transaction(async ({ sandboxes, builds }) => {
		const row = await sandboxes.compareAndSet(resuming.id, resuming, {
			state: "running",
			operationId: undefined,
			pauseArtifactId: undefined,
			pauseMode: undefined,
			agentUnresponsiveAtPause: false,
			address: started.address,
			startedAt,
			endAt: endAfter(startedAt, timeout),
			...(autoPause !== undefined && { onTimeout: autoPause ? "pause" : "kill" }),
		});
		if (!row) throw sandboxNotFound(resuming.id);
		await builds.remove(image);
		return row;
	});
	return core.ledger.accept(running);
}

async function backToPaused(core: Core, resuming: SandboxRecord, operation: Operation): Promise<void> {
	await core.chores.repair(operation, `put sandbox ${resuming.id} back to paused`, () =>
		unlessKilled(core.ledger.move(resuming, { state: "paused", operationId: undefined })),
	);
	await removeContainer(core, orderKey(resuming, operation));
}

function resumeFailed(core: Core, resuming: SandboxRecord, error: unknown): unknown {
	if (error instanceof OffshootError || operationEnded(error)) return error;
	core.log.error({ err: error, sandboxId: resuming.id }, "sandbox could not be resumed");
	return new OffshootError("internal", `Sandbox "${resuming.id}" could not be resumed; it is still paused`, { cause: error });
}

function operationEnded(error: unknown): boolean {
	return error instanceof DOMException && error.name === "AbortError";
}
