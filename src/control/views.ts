/** Rows as their owner may see them. */
import type { AliasRecord, Fleet, SandboxRecord, SnapshotRecord } from "../fleet/index.ts";
import { visibleNetwork } from "./network.ts";
import { visibleState } from "./table.ts";
import type { SandboxView, SnapshotView } from "./types.ts";

export async function viewSandbox(fleet: Fleet, record: SandboxRecord): Promise<SandboxView> {
	const aliases = await fleet.templates.firstAliases([record.templateId]);
	return toSandboxView(record, aliases.get(record.templateId));
}

export async function viewSandboxes(fleet: Fleet, records: readonly SandboxRecord[]): Promise<readonly SandboxView[]> {
	const aliases = await fleet.templates.firstAliases(records.map((record) => record.templateId));
	return records.map((record) => toSandboxView(record, aliases.get(record.templateId)));
}

export async function viewSnapshots(fleet: Fleet, snapshots: readonly SnapshotRecord[]): Promise<readonly SnapshotView[]> {
	const parentIds = snapshots.flatMap(({ build }) => build.parentBuildId ?? []);
	const parents = await fleet.builds.snapshotTags(parentIds);
	const templateIds = [...snapshots, ...parents.values()].map((snapshot) => snapshot.templateId);
	const aliases = await fleet.templates.firstAliases(templateIds);
	return snapshots.map((snapshot) => {
		const parent = parents.get(snapshot.build.parentBuildId ?? "");
		return toSnapshotView(snapshot, aliases, parent && snapshotId(parent, aliases.get(parent.templateId)));
	});
}

function toSandboxView(record: SandboxRecord, alias: AliasRecord | undefined): SandboxView {
	return {
		sandboxId: record.id,
		templateId: record.templateId,
		alias: alias?.alias,
		envdVersion: record.envdVersion,
		accessToken: record.accessToken,
		trafficToken: record.trafficToken,
		startedAt: record.startedAt,
		endAt: record.endAt,
		state: visibleState(record.state),
		cpuCount: record.resources.cpuCount,
		memoryMB: record.resources.memoryMB,
		diskSizeMB: record.resources.diskSizeMB,
		metadata: record.metadata,
		network: record.network && visibleNetwork(record.network),
		allowInternetAccess: record.allowInternetAccess,
		onTimeout: record.onTimeout,
		autoResume: record.autoResume,
		pauseMode: record.pauseMode,
		agentUnresponsiveAtPause: record.agentUnresponsiveAtPause,
	};
}

function toSnapshotView(
	{ build, tag, templateId }: SnapshotRecord,
	aliases: ReadonlyMap<string, AliasRecord>,
	parentSnapshotId: string | undefined,
): SnapshotView {
	const alias = aliases.get(templateId);
	return {
		snapshotId: snapshotId({ templateId, tag }, alias),
		names: alias ? [`${alias.namespace}/${alias.alias}`] : [],
		createdAt: build.createdAt,
		sourceSandboxId: build.sourceSandboxId,
		parentSnapshotId,
		templateId,
		sizeBytes: build.sizeBytes,
		memory: build.memory,
		pauseMs: build.pauseMs,
		engineVersion: build.engineVersion,
	};
}

function snapshotId(of: { readonly templateId: string; readonly tag: string }, alias: AliasRecord | undefined): string {
	return `${alias ? `${alias.namespace}/${alias.alias}` : of.templateId}:${of.tag}`;
}
