/** How control's views look on the wire. */
import type { Static } from "typebox";
import type { ForkResult, SandboxView, SnapshotView } from "../control/index.ts";
import type * as schemas from "./schemas.ts";

/** Required by clients and without meaning since long ago. Source: REST wire protocol of E2B. */
const CLIENT_ID = "6532622b";

function identity(view: SandboxView) {
	return {
		templateID: view.templateId,
		sandboxID: view.sandboxId,
		clientID: CLIENT_ID,
		envdVersion: view.envdVersion,
		...(view.alias === undefined ? {} : { alias: view.alias }),
	};
}

function token(view: SandboxView) {
	return view.accessToken === undefined ? {} : { envdAccessToken: view.accessToken };
}

export function listedSandbox(view: SandboxView): Static<typeof schemas.ListedSandbox> {
	return {
		...identity(view),
		startedAt: view.startedAt.toISOString(),
		endAt: view.endAt.toISOString(),
		state: view.state,
		cpuCount: view.cpuCount,
		memoryMB: view.memoryMB,
		diskSizeMB: view.diskSizeMB,
		metadata: { ...view.metadata },
		volumeMounts: [],
		...(view.agentUnresponsiveAtPause && { envdUnresponsiveAtPause: true }),
	};
}

/** @param domain overrides the client's own, so that no URL it builds leads elsewhere */
export function sandbox(view: SandboxView, domain: string): Static<typeof schemas.Sandbox> {
	return { ...identity(view), ...token(view), trafficAccessToken: view.trafficToken ?? null, domain };
}

export function sandboxDetail(view: SandboxView, domain: string): Static<typeof schemas.SandboxDetail> {
	return {
		...listedSandbox(view),
		...token(view),
		domain,
		...(view.network === undefined ? {} : { network: mutable(view.network) }),
		allowInternetAccess: view.allowInternetAccess ?? null,
		...(view.pauseMode === undefined ? {} : { pauseMode: view.pauseMode }),
		lifecycle: { onTimeout: view.onTimeout, autoResume: view.autoResume },
	};
}

function mutable({ allowOut, denyOut, httpsPorts, egressProxy, rules, ...rest }: NonNullable<SandboxView["network"]>) {
	return {
		...rest,
		...(allowOut && { allowOut: [...allowOut] }),
		...(denyOut && { denyOut: [...denyOut] }),
		...(httpsPorts && { httpsPorts: [...httpsPorts] }),
		...(egressProxy && { egressProxy: { ...egressProxy } }),
		...(rules && { rules: Object.fromEntries(Object.entries(rules).map(([domain, all]) => [domain, [...all]])) }),
	};
}

export function forkResult(result: ForkResult, domain: string): Static<typeof schemas.ForkResult> {
	return "sandbox" in result ? { sandbox: sandbox(result.sandbox, domain) } : { error: { ...result.error } };
}

export function snapshot(view: SnapshotView): Static<typeof schemas.Snapshot> {
	return {
		snapshotID: view.snapshotId,
		names: [...view.names],
		createdAt: view.createdAt.toISOString(),
		templateID: view.templateId,
		...(view.sourceSandboxId === undefined ? {} : { sourceSandboxID: view.sourceSandboxId }),
		...(view.parentSnapshotId === undefined ? {} : { parentSnapshotID: view.parentSnapshotId }),
		sizeBytes: view.sizeBytes,
		memory: view.memory,
		pauseMs: view.pauseMs,
		engineVersion: view.engineVersion,
	};
}
