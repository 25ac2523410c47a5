/** Rows as the rest of the house sees them: parsed once here, trusted everywhere else. */
import type { Resources } from "../engine/index.ts";
import type { ArtifactKind } from "../store/index.ts";
import type { NetworkRecord } from "./columns.ts";

export interface TeamRecord {
	readonly id: string;
	/** Namespace of the team's template names. */
	readonly slug: string;
	readonly name: string;
	readonly createdAt: Date;
	readonly limits: TeamLimits;
}

/** A team's own limits; where one is undefined, the server's holds. */
export interface TeamLimits {
	/** Sandboxes that may run at a time. */
	readonly maxSandboxes: number | undefined;
	/** Longest time between the start of a sandbox and its end, s. */
	readonly maxTimeoutSeconds: number | undefined;
}

/** A change of a team's limits: null gives it the server's again, what is missing stays. */
export interface TeamLimitsChange {
	readonly maxSandboxes?: number | null | undefined;
	readonly maxTimeoutSeconds?: number | null | undefined;
}

/** An API key as it may be shown: never the key itself. */
export interface ApiKeyRecord {
	readonly id: string;
	readonly teamId: string;
	readonly name: string;
	readonly mask: {
		readonly prefix: string;
		readonly valueLength: number;
		readonly maskedValuePrefix: string;
		readonly maskedValueSuffix: string;
	};
	readonly createdAt: Date;
	readonly firstUsedAt: Date | undefined;
	readonly lastUsedAt: Date | undefined;
}

export type TemplateKind = "template" | "snapshot";

export interface TemplateRecord {
	readonly id: string;
	/** Undefined: the template belongs to the platform. */
	readonly teamId: string | undefined;
	readonly kind: TemplateKind;
	readonly public: boolean;
	/** Sandbox whose snapshot made this template. */
	readonly sourceSandboxId: string | undefined;
	readonly createdAt: Date;
	readonly updatedAt: Date;
	/** A deleted template stays as a tombstone for the lineage of what was made from it. */
	readonly deletedAt: Date | undefined;
}

/** A build and the artifact it produced are one thing with one id. */
export interface BuildRecord {
	readonly id: string;
	/** Undefined for the image of a paused sandbox. */
	readonly templateId: string | undefined;
	readonly kind: ArtifactKind;
	readonly status: "ready";
	readonly resources: Resources;
	readonly envdVersion: string;
	/** Artifact that the source sandbox was started from. */
	readonly parentBuildId: string | undefined;
	readonly sourceSandboxId: string | undefined;
	readonly rootfsId: string;
	readonly sizeBytes: number;
	/** False: it holds files alone. */
	readonly memory: boolean;
	readonly pauseMs: number;
	readonly engineVersion: string;
	readonly envs: Readonly<Record<string, string>>;
	readonly createdAt: Date;
	readonly deletedAt: Date | undefined;
}

export const SANDBOX_STATES = ["starting", "running", "snapshotting", "pausing", "paused", "resuming", "ended"] as const;
export type SandboxRowState = (typeof SANDBOX_STATES)[number];

export const PAUSE_MODES = ["full", "filesystem"] as const;
export type PauseMode = (typeof PAUSE_MODES)[number];

export interface SandboxRecord {
	readonly id: string;
	readonly teamId: string;
	readonly templateId: string;
	/** Artifact it is based on; it stays on the node as long as this sandbox lives. */
	readonly artifactId: string;
	readonly state: SandboxRowState;
	/** Grows with every attempt to resume. */
	readonly incarnation: number;
	/** Operation that is under way. */
	readonly operationId: string | undefined;
	/** Artifact that the operation under way is making. */
	readonly pendingArtifactId: string | undefined;
	/** Image of the paused sandbox. */
	readonly pauseArtifactId: string | undefined;
	/** What that image holds; undefined while the sandbox is not paused. */
	readonly pauseMode: PauseMode | undefined;
	/** The guest's agent did not answer when that image was captured, so its memory can't be used. */
	readonly agentUnresponsiveAtPause: boolean;
	readonly nodeId: string;
	/** Host address of the guest while it runs. */
	readonly address: string | undefined;
	/** Undefined: the sandbox is open. */
	readonly accessToken: string | undefined;
	readonly trafficToken: string | undefined;
	readonly envdVersion: string;
	readonly resources: Resources;
	/** Complete global environment. */
	readonly envs: Readonly<Record<string, string>>;
	readonly metadata: Readonly<Record<string, string>>;
	readonly network: NetworkRecord | undefined;
	/** Undefined: never set. */
	readonly allowInternetAccess: boolean | undefined;
	readonly onTimeout: "kill" | "pause";
	/** Whether a pause at the end of its time keeps memory. */
	readonly autoPauseMemory: boolean;
	readonly autoResume: boolean;
	/** Timeout of the create request, s. */
	readonly timeoutSeconds: number;
	readonly createdAt: Date;
	readonly startedAt: Date;
	/** While paused: the time of the pause. */
	readonly endAt: Date;
	readonly endedAt: Date | undefined;
	readonly endReason: string | undefined;
	/** Grows with every write to the row: of two copies the larger is newer. */
	readonly revision: number;
}
