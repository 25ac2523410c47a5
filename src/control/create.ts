/**
 * Starting sandboxes. The row exists before the node is asked, so that a crash in between leaves something to find; the
 * id is told to nobody before the sandbox answers and its row says so.
 */
import { randomUUID } from "node:crypto";
import type { BuildRecord, SandboxRecord, TemplateRecord } from "../fleet/index.ts";
import { newAccessToken, OffshootError, parseTemplateRef } from "../protocol/index.ts";
import { type Core, now, orderKey, removeContainer } from "./core.ts";
import { assertEnvs } from "./envs.ts";
import type { Limits } from "./limits.ts";
import { assertNetwork, copyNetwork, toEgress } from "./network.ts";
import type { Operation } from "./operations.ts";
import { resolveBuild } from "./resolve.ts";
import { allowedTimeout, endAfter } from "./timeouts.ts";
import type { CreateSandboxRequest, NetworkOptions, Team } from "./types.ts";

/**
 * @param sandboxId new, and known to nobody yet
 * @throws OffshootError invalid_request, not_found, forbidden, too_many, and what the node refuses
 */
export async function createSandbox(
	core: Core,
	team: Team,
	request: CreateSandboxRequest,
	sandboxId: string,
	signal: AbortSignal,
): Promise<SandboxRecord> {
	core.assertOpen();
	const limits = await core.limits.of(team.id);
	const timeout = allowedTimeout(limits, request.timeout);
	assertNetwork(request.network ?? {}, request);
	assertEnvs(request.envs);
	const ref = parseTemplateRef(request.templateRef, "templateID");
	const { template, build } = await resolveBuild(core.fleet, team, ref);
	assertEnvs(request.envs, build.envs);
	const drafted = { ...draft(core, team, { ...request, timeout }, template, build), id: sandboxId };
	return launch(core, drafted, { imageId: build.id, limits }, signal);
}

/**
 * Brings a new sandbox to life, or leaves nothing of it.
 * @param from the artifact to start from, and what its team may have
 */
export function launch(
	core: Core,
	drafted: SandboxRecord,
	from: { readonly imageId: string; readonly limits: Limits },
	signal: AbortSignal,
): Promise<SandboxRecord> {
	return core.operations.begin(drafted.id, "starting", async (operation) => {
		const row = { ...drafted, operationId: operation.id };
		const either = AbortSignal.any([signal, operation.signal]);
		const { maxConcurrent } = from.limits;
		await core.quota.within({ teamId: row.teamId, maxConcurrent }, either, () => core.ledger.add(row));
		try {
			return await start(core, row, operation, from.imageId, either);
		} catch (error) {
			await core.chores.attempt(`forget sandbox ${row.id}`, () => core.ledger.discard(row.id));
			await removeContainer(core, orderKey(row, operation));
			throw startFailed(core, row, error, signal);
		}
	});
}

async function start(
	core: Core,
	row: SandboxRecord,
	operation: Operation,
	artifactId: string,
	signal: AbortSignal,
): Promise<SandboxRecord> {
	const started = await core.node.start(
		{
			...orderKey(row, operation),
			artifactId,
			templateId: row.templateId,
			memory: true,
			newIdentity: true,
			accessToken: row.accessToken,
			envs: row.envs,
			egress: toEgress(row.network, row.allowInternetAccess),
		},
		signal,
	);
	// Nobody would learn the id of a sandbox whose caller has left.
	signal.throwIfAborted();
	const startedAt = now(core);
	return core.ledger.move(row, {
		state: "running",
		operationId: undefined,
		address: started.address,
		resources: started.resources,
		startedAt,
		endAt: endAfter(startedAt, row.timeoutSeconds),
	});
}

function startFailed(core: Core, row: SandboxRecord, error: unknown, signal: AbortSignal): unknown {
	if (error instanceof OffshootError || signal.aborted) return error;
	core.log.error({ err: error, sandboxId: row.id }, "sandbox could not be started");
	return new OffshootError("internal", "The sandbox could not be started; the server's log has the reason", {
		errorCode: "sandbox_create_failed",
		cause: error,
	});
}

function draft(
	core: Core,
	team: Team,
	request: CreateSandboxRequest & { readonly timeout: number },
	template: TemplateRecord,
	build: BuildRecord,
): Omit<SandboxRecord, "id"> {
	const createdAt = now(core);
	return {
		teamId: team.id,
		templateId: template.id,
		artifactId: build.id,
		state: "starting",
		incarnation: 1,
		operationId: randomUUID(),
		pendingArtifactId: undefined,
		pauseArtifactId: undefined,
		pauseMode: undefined,
		agentUnresponsiveAtPause: false,
		nodeId: core.node.nodeId,
		address: undefined,
		...newTokens(request.secure, request.network),
		envdVersion: build.envdVersion,
		resources: build.resources,
		envs: { ...build.envs, ...request.envs },
		metadata: request.metadata,
		network: request.network && copyNetwork(request.network),
		allowInternetAccess: request.allowInternetAccess,
		onTimeout: request.autoPause ? "pause" : "kill",
		autoPauseMemory: request.autoPauseMemory,
		autoResume: request.autoResume,
		timeoutSeconds: request.timeout,
		createdAt,
		startedAt: createdAt,
		endAt: endAfter(createdAt, request.timeout),
		endedAt: undefined,
		endReason: undefined,
		revision: 0,
	};
}

/** Tokens of a new sandbox: the agent's if it is secured, one for its other ports if these are private. */
export function newTokens(
	secure: boolean,
	network: NetworkOptions | undefined,
): Pick<SandboxRecord, "accessToken" | "trafficToken"> {
	return {
		accessToken: secure ? newAccessToken() : undefined,
		trafficToken: network?.allowPublicTraffic === false ? newAccessToken() : undefined,
	};
}

/** The sandbox that a create has made, alive or not; "unsettled" while it is still being started or undone. */
export async function createdSandbox(core: Core, sandboxId: string): Promise<SandboxRecord | "unsettled" | undefined> {
	const record = await core.fleet.sandboxes.get(sandboxId);
	return record?.state === "starting" ? "unsettled" : record;
}
