/** A sandbox between its row and its record. */
import type { Insertable, Selectable, Updateable } from "kysely";
import { readNetwork, readOptionalTime, readStringMap, readTime, readWord, writeFlag, writeTime } from "./columns.ts";
import { PAUSE_MODES, SANDBOX_STATES, type SandboxRecord } from "./records.ts";
import type { SandboxesTable } from "./schema.ts";

/** The columns that change in a sandbox's life. A key that is present with undefined empties its column. */
export type SandboxPatch = Partial<
	Pick<
		SandboxRecord,
		"state" | "incarnation" | "nodeId" | "startedAt" | "endAt" | "resources" | "agentUnresponsiveAtPause" | "onTimeout"
	>
> & {
	readonly [K in "operationId" | "pendingArtifactId" | "pauseArtifactId" | "pauseMode" | "address" | "endedAt" | "endReason"]?:
		| SandboxRecord[K]
		| undefined;
};

export function toSandboxColumns(patch: SandboxPatch): Updateable<SandboxesTable> {
	return { ...requiredColumns(patch), ...nullableColumns(patch) };
}

function requiredColumns(patch: SandboxPatch): Updateable<SandboxesTable> {
	return {
		...(patch.state !== undefined && { state: patch.state }),
		...(patch.incarnation !== undefined && { incarnation: patch.incarnation }),
		...(patch.nodeId !== undefined && { node_id: patch.nodeId }),
		...(patch.startedAt !== undefined && { started_at: writeTime(patch.startedAt) }),
		...(patch.endAt !== undefined && { end_at: writeTime(patch.endAt) }),
		...(patch.onTimeout !== undefined && { on_timeout: patch.onTimeout }),
		...(patch.agentUnresponsiveAtPause !== undefined && {
			agent_unresponsive_at_pause: writeFlag(patch.agentUnresponsiveAtPause),
		}),
		...(patch.resources !== undefined && {
			cpu_count: patch.resources.cpuCount,
			memory_mb: patch.resources.memoryMB,
			disk_size_mb: patch.resources.diskSizeMB,
		}),
	};
}

function nullableColumns(patch: SandboxPatch): Updateable<SandboxesTable> {
	return {
		...("operationId" in patch && { operation_id: patch.operationId ?? null }),
		...("pendingArtifactId" in patch && { pending_artifact_id: patch.pendingArtifactId ?? null }),
		...("pauseArtifactId" in patch && { pause_artifact_id: patch.pauseArtifactId ?? null }),
		...("pauseMode" in patch && { pause_mode: patch.pauseMode ?? null }),
		...("address" in patch && { address: patch.address ?? null }),
		...("endedAt" in patch && { ended_at: patch.endedAt ? writeTime(patch.endedAt) : null }),
		...("endReason" in patch && { end_reason: patch.endReason ?? null }),
	};
}

export function toSandboxRow(sandbox: SandboxRecord): Insertable<SandboxesTable> {
	return {
		id: sandbox.id,
		team_id: sandbox.teamId,
		template_id: sandbox.templateId,
		artifact_id: sandbox.artifactId,
		state: sandbox.state,
		incarnation: sandbox.incarnation,
		operation_id: sandbox.operationId ?? null,
		pending_artifact_id: sandbox.pendingArtifactId ?? null,
		pause_artifact_id: sandbox.pauseArtifactId ?? null,
		pause_mode: sandbox.pauseMode ?? null,
		agent_unresponsive_at_pause: writeFlag(sandbox.agentUnresponsiveAtPause),
		node_id: sandbox.nodeId,
		address: sandbox.address ?? null,
		access_token: sandbox.accessToken ?? null,
		traffic_token: sandbox.trafficToken ?? null,
		envd_version: sandbox.envdVersion,
		cpu_count: sandbox.resources.cpuCount,
		memory_mb: sandbox.resources.memoryMB,
		disk_size_mb: sandbox.resources.diskSizeMB,
		envs: JSON.stringify(sandbox.envs),
		metadata: JSON.stringify(sandbox.metadata),
		network: sandbox.network === undefined ? null : JSON.stringify(sandbox.network),
		allow_internet_access: sandbox.allowInternetAccess === undefined ? null : writeFlag(sandbox.allowInternetAccess),
		on_timeout: sandbox.onTimeout,
		auto_pause_memory: writeFlag(sandbox.autoPauseMemory),
		auto_resume: writeFlag(sandbox.autoResume),
		timeout_seconds: sandbox.timeoutSeconds,
		created_at: writeTime(sandbox.createdAt),
		started_at: writeTime(sandbox.startedAt),
		end_at: writeTime(sandbox.endAt),
		ended_at: sandbox.endedAt ? writeTime(sandbox.endedAt) : null,
		end_reason: sandbox.endReason ?? null,
		revision: sandbox.revision,
	};
}

export function toSandbox(row: Selectable<SandboxesTable>): SandboxRecord {
	return {
		id: row.id,
		teamId: row.team_id,
		templateId: row.template_id,
		artifactId: row.artifact_id,
		state: readWord(SANDBOX_STATES, row.state, "sandboxes.state"),
		incarnation: row.incarnation,
		operationId: row.operation_id ?? undefined,
		pendingArtifactId: row.pending_artifact_id ?? undefined,
		pauseArtifactId: row.pause_artifact_id ?? undefined,
		pauseMode: row.pause_mode === null ? undefined : readWord(PAUSE_MODES, row.pause_mode, "sandboxes.pause_mode"),
		agentUnresponsiveAtPause: row.agent_unresponsive_at_pause === 1,
		nodeId: row.node_id,
		address: row.address ?? undefined,
		accessToken: row.access_token ?? undefined,
		trafficToken: row.traffic_token ?? undefined,
		envdVersion: row.envd_version,
		resources: { cpuCount: row.cpu_count, memoryMB: row.memory_mb, diskSizeMB: row.disk_size_mb },
		envs: readStringMap(row.envs, "sandboxes.envs"),
		metadata: readStringMap(row.metadata, "sandboxes.metadata"),
		network: readNetwork(row.network),
		allowInternetAccess: row.allow_internet_access === null ? undefined : row.allow_internet_access === 1,
		onTimeout: readWord(["kill", "pause"], row.on_timeout, "sandboxes.on_timeout"),
		autoPauseMemory: row.auto_pause_memory === 1,
		autoResume: row.auto_resume === 1,
		timeoutSeconds: row.timeout_seconds,
		createdAt: readTime(row.created_at),
		startedAt: readTime(row.started_at),
		endAt: readTime(row.end_at),
		endedAt: readOptionalTime(row.ended_at),
		endReason: row.end_reason ?? undefined,
		revision: row.revision,
	};
}
