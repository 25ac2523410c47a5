/** What `api` and `edge` see of control. Every method that changes a sandbox is durable when its promise resolves. */
import type { NetworkRule } from "../fleet/index.ts";
import type { Accounts } from "./accounts.ts";
import type { Catalog } from "./catalog.ts";
import type { Logs } from "./journal.ts";
import type { Metrics } from "./metrics.ts";
import type { Nodes } from "./nodes.ts";

export interface Team {
	readonly id: string;
	/** Namespace of the team's template names. */
	readonly slug: string;
}

export type SandboxState = "running" | "paused";

/** `network` of a create request and of the detail view; rules are in the REST specification, §8. */
export interface NetworkOptions {
	readonly allowPublicTraffic?: boolean;
	readonly allowOut?: readonly string[];
	readonly denyOut?: readonly string[];
	readonly maskRequestHost?: string;
	readonly httpsPorts?: readonly number[];
	readonly egressProxy?: EgressProxyOptions;
	/** By host name, or `*.` and a host name: header fields for requests that leave the sandbox to it. */
	readonly rules?: NetworkRules;
}

export type NetworkRules = Readonly<Record<string, readonly NetworkRule[]>>;

/** A SOCKS5 proxy that carries what the sandbox sends out. */
export interface EgressProxyOptions {
	/** `host:port` */
	readonly address: string;
	readonly username?: string;
	/** Never shown again. */
	readonly password?: string;
}

/** Replaces all that says what a sandbox may reach: what is missing is cleared. */
export interface NetworkUpdate extends Pick<NetworkOptions, "allowOut" | "denyOut" | "egressProxy" | "rules"> {
	readonly allowInternetAccess?: boolean | undefined;
}

/** Seconds; `upTo` for who asked for nothing: that long, or as long as the team may if that is less. */
export type Timeout = number | { readonly upTo: number };

export interface CreateSandboxRequest {
	/** Any reference form: template id, alias, namespace/alias, each with optional tag; also a snapshot id. */
	readonly templateRef: string;
	readonly timeout: Timeout;
	readonly autoPause: boolean;
	/** False: a pause at the end of its time keeps the files alone. */
	readonly autoPauseMemory: boolean;
	readonly autoResume: boolean;
	readonly secure: boolean;
	readonly allowInternetAccess: boolean | undefined;
	readonly network: NetworkOptions | undefined;
	readonly metadata: Readonly<Record<string, string>>;
	readonly envs: Readonly<Record<string, string>>;
}

/** What a pause keeps: everything, or the files alone. */
export type PauseMode = "full" | "filesystem";

export interface PauseRequest {
	/** False: the files alone are kept, and a resume is a cold start. */
	readonly memory: boolean;
	/** True: refused while the guest's agent does not answer. A pause without memory is refused then in any case. */
	readonly requireHealthyGuest: boolean;
}

export interface ResumeRequest {
	/** From now. */
	readonly timeout: Timeout;
	/** False: a cold start from the files; memory that the pause kept is ignored. */
	readonly memory: boolean;
	/** What happens at the end from now on: a pause, or a kill; undefined leaves it as it was. */
	readonly autoPause?: boolean | undefined;
}

/** A sandbox as its owner may see it, tokens included. Times are Dates; api formats them. */
export interface SandboxView {
	readonly sandboxId: string;
	readonly templateId: string;
	readonly alias: string | undefined;
	readonly envdVersion: string;
	readonly accessToken: string | undefined;
	readonly trafficToken: string | undefined;
	readonly startedAt: Date;
	readonly endAt: Date;
	readonly state: SandboxState;
	readonly cpuCount: number;
	readonly memoryMB: number;
	readonly diskSizeMB: number;
	readonly metadata: Readonly<Record<string, string>>;
	readonly network: NetworkOptions | undefined;
	readonly allowInternetAccess: boolean | undefined;
	readonly onTimeout: "kill" | "pause";
	readonly autoResume: boolean;
	/** Undefined while it runs. */
	readonly pauseMode: PauseMode | undefined;
	/** True: its guest agent did not answer when it was paused, so it can only be resumed without memory. */
	readonly agentUnresponsiveAtPause: boolean;
}

export interface ListSandboxesQuery {
	readonly states: readonly SandboxState[];
	/** All pairs must match. */
	readonly metadata: Readonly<Record<string, string>>;
	readonly limit: number;
	readonly nextToken: string | undefined;
	readonly order: "asc" | "desc";
	readonly startedAfter: Date | undefined;
	readonly template: string | undefined;
}

export interface Page<T> {
	readonly items: readonly T[];
	/** Undefined on the last page. */
	readonly nextToken: string | undefined;
}

export interface SnapshotView {
	readonly snapshotId: string;
	readonly names: readonly string[];
	readonly createdAt: Date;
	readonly sourceSandboxId: string | undefined;
	readonly parentSnapshotId: string | undefined;
	readonly templateId: string;
	readonly sizeBytes: number;
	/** False: sandboxes made from it start cold from its files. */
	readonly memory: boolean;
	readonly pauseMs: number;
	readonly engineVersion: string;
}

export interface CreateSnapshotRequest {
	/** Unnamed when undefined. */
	readonly name: string | undefined;
	/** False: the files alone are captured. */
	readonly memory: boolean;
	/** False: sandboxes made from it do not get the source's global environment. */
	readonly inheritEnv: boolean;
}

export interface ListSnapshotsQuery {
	readonly sandboxId: string | undefined;
	readonly name: string | undefined;
	readonly limit: number;
	readonly nextToken: string | undefined;
}

export type ForkResult =
	| { readonly sandbox: SandboxView }
	| { readonly error: { readonly code: number; readonly message: string } };

/** Where a request to a sandbox may go. */
export type Admission =
	| {
			readonly kind: "proxy";
			readonly incarnation: number;
			/** Host address of the guest. */
			readonly address: string;
			/** Undefined: ports other than the agent's need no token. */
			readonly trafficToken: string | undefined;
			readonly accessToken: string | undefined;
			readonly maskRequestHost: string | undefined;
			/** Ports on which the guest speaks TLS. */
			readonly httpsPorts?: readonly number[];
	  }
	/** Unknown, killed, or paused without auto-resume: the edge answers 502. */
	| { readonly kind: "not-found" }
	/** Paused with auto-resume, and asked only what a browser's page may send: the edge answers, nothing is woken. */
	| { readonly kind: "asleep" }
	/** Paused with auto-resume, but the caller lacks the token that would allow waking it: 403. */
	| { readonly kind: "forbidden" }
	/** Still between two states after all waiting: 409. */
	| { readonly kind: "transitioning" }
	| { readonly kind: "limit"; readonly message: string };

export interface AdmissionRequest {
	readonly sandboxId: string;
	readonly port: number;
	readonly accessToken: string | undefined;
	readonly trafficToken: string | undefined;
	/** True: a browser asks the guest's agent what a page may send to it, which wakes nobody and needs no token. */
	readonly preflight: boolean;
}

export interface TemplateAlias {
	readonly templateId: string;
	readonly public: boolean;
}

export interface ControlStats {
	readonly running: number;
	readonly paused: number;
}

export interface Control {
	readonly accounts: Accounts;
	readonly catalog: Catalog;
	readonly logs: Logs;
	readonly metrics: Metrics;
	readonly nodes: Nodes;
	/** Team of an API key; undefined for an unknown or revoked one. */
	authenticate(apiKey: string): Promise<Team | undefined>;

	/** @param idempotencyKey a repetition of the same request under it gets the first one's sandbox, kept for 24 h */
	createSandbox(team: Team, request: CreateSandboxRequest, signal: AbortSignal, idempotencyKey?: string): Promise<SandboxView>;
	getSandbox(team: Team, sandboxId: string): Promise<SandboxView>;
	listSandboxes(team: Team, query: ListSandboxesQuery): Promise<Page<SandboxView> & { readonly totalRunning: number }>;
	/**
	 * Resumes it, or extends its time when it runs already.
	 * @throws OffshootError conflict when the memory of its pause cannot be used
	 */
	connectSandbox(
		team: Team,
		sandboxId: string,
		request: ResumeRequest,
		signal: AbortSignal,
	): Promise<{ sandbox: SandboxView; resumed: boolean }>;
	/** @throws OffshootError conflict when it is running, and as connectSandbox */
	resumeSandbox(team: Team, sandboxId: string, request: ResumeRequest, signal: AbortSignal): Promise<SandboxView>;
	/** @throws OffshootError conflict when it is paused already; busy when the guest had to be healthy and is not */
	pauseSandbox(team: Team, sandboxId: string, request: PauseRequest, signal: AbortSignal): Promise<void>;
	killSandbox(team: Team, sandboxId: string, signal: AbortSignal): Promise<void>;
	/** @param timeout seconds from now; may shorten */
	setTimeout(team: Team, sandboxId: string, timeout: number): Promise<void>;
	/** @param duration seconds from now; extends only */
	refreshSandbox(team: Team, sandboxId: string, duration: number): Promise<void>;
	/** In force on the host when the promise resolves. @throws OffshootError not_found when it does not run */
	setNetwork(team: Team, sandboxId: string, update: NetworkUpdate, signal: AbortSignal): Promise<void>;
	forkSandbox(
		team: Team,
		sandboxId: string,
		count: number,
		timeout: Timeout,
		signal: AbortSignal,
	): Promise<readonly ForkResult[]>;

	/** @param idempotencyKey as for createSandbox */
	createSnapshot(
		team: Team,
		sandboxId: string,
		request: CreateSnapshotRequest,
		signal: AbortSignal,
		idempotencyKey?: string,
	): Promise<SnapshotView>;
	listSnapshots(team: Team, query: ListSnapshotsQuery): Promise<Page<SnapshotView>>;
	/** Deletes a template or snapshot, whole. @throws OffshootError not_found, invalid_request when in use */
	deleteTemplate(team: Team, templateRef: string, signal: AbortSignal): Promise<void>;
	templateAlias(team: Team, alias: string): Promise<TemplateAlias>;

	/** Decides about one request to a sandbox; waits while it is between two states, wakes it if it may. */
	admit(request: AdmissionRequest, signal: AbortSignal): Promise<Admission>;
	/** Ids and tokens of sandboxes that a signed file URL could be for: running and auto-resumable ones. */
	signedUrlCandidates(): Iterable<{ readonly sandboxId: string; readonly accessToken: string }>;
	/** Called after an incarnation stopped being reachable (killed, paused, crashed) and its new state is visible. */
	onGone(listener: (gone: { readonly sandboxId: string; readonly incarnation: number }) => void): () => void;
	stats(): Promise<ControlStats>;
}
