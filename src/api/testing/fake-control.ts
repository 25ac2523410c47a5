/** A control that keeps everything in memory and notes what it is asked. */
import type {
	Control,
	CreateSandboxRequest,
	ForkResult,
	ListSandboxesQuery,
	ListSnapshotsQuery,
	NetworkUpdate,
	PauseRequest,
	ResumeRequest,
	SandboxView,
	SnapshotView,
	Team,
	Timeout,
} from "../../control/index.ts";
import { newSandboxId, newTemplateId, OffshootError, sandboxNotFound } from "../../protocol/index.ts";
import { fakeAccounts } from "./fake-accounts.ts";
import { fakeCatalog } from "./fake-catalog.ts";
import { fakeMetrics, fakeNodes } from "./fake-node.ts";
import { API_KEY, CREATED_AT, TEAM } from "./known.ts";
import { page } from "./page.ts";

export class FakeControl implements Control {
	readonly accounts = fakeAccounts();
	readonly catalog = fakeCatalog();
	readonly logs: Control["logs"] = {
		read: async (_team, sandboxId, query) => {
			this.#note("logs", sandboxId, query);
			return [{ atMs: 1_767_323_045_678, level: "warn", logger: "agent", message: "hook failed" }];
		},
	};
	readonly metrics = fakeMetrics((...call) => this.#note(...call));
	readonly nodes = fakeNodes();
	readonly sandboxes = new Map<string, SandboxView>();
	readonly snapshots: SnapshotView[] = [];
	/** Every call, as `[method, …arguments]` without team and signal. */
	readonly calls: unknown[][] = [];
	/** Thrown by the next call that reads or changes a sandbox. */
	failNext: unknown;

	async authenticate(apiKey: string): Promise<Team | undefined> {
		return apiKey === API_KEY ? TEAM : undefined;
	}

	async createSandbox(_team: Team, request: CreateSandboxRequest): Promise<SandboxView> {
		this.#note("create", request);
		if (request.templateRef === "unknown") throw new OffshootError("not_found", "template 'unknown' not found");
		return this.add({
			templateId: request.templateRef,
			accessToken: request.secure ? "envd-token" : undefined,
			trafficToken: request.network?.allowPublicTraffic === false ? "traffic-token" : undefined,
			metadata: request.metadata,
			network: request.network,
			allowInternetAccess: request.allowInternetAccess,
			onTimeout: request.autoPause ? "pause" : "kill",
			autoResume: request.autoResume,
		});
	}

	add(view: Partial<SandboxView> = {}): SandboxView {
		const sandbox: SandboxView = {
			sandboxId: newSandboxId(),
			templateId: "base",
			alias: undefined,
			envdVersion: "0.6.13",
			accessToken: undefined,
			trafficToken: undefined,
			startedAt: new Date("2026-01-02T03:04:05.678Z"),
			endAt: new Date("2026-01-02T03:09:05.678Z"),
			state: "running",
			cpuCount: 2,
			memoryMB: 512,
			diskSizeMB: 1024,
			metadata: {},
			network: undefined,
			allowInternetAccess: undefined,
			onTimeout: "kill",
			autoResume: false,
			pauseMode: undefined,
			agentUnresponsiveAtPause: false,
			...view,
		};
		this.sandboxes.set(sandbox.sandboxId, sandbox);
		return sandbox;
	}

	async getSandbox(_team: Team, sandboxId: string): Promise<SandboxView> {
		this.#note("get", sandboxId);
		return this.#find(sandboxId);
	}

	async listSandboxes(_team: Team, query: ListSandboxesQuery) {
		this.#note("list", query);
		const matching = [...this.sandboxes.values()].filter((sandbox) => query.states.includes(sandbox.state));
		return { ...page(matching, query.limit, query.nextToken), totalRunning: matching.length };
	}

	async connectSandbox(_team: Team, sandboxId: string, request: ResumeRequest) {
		this.#note("connect", sandboxId, request);
		const before = this.#find(sandboxId);
		return { sandbox: this.#become(before, "running"), resumed: before.state === "paused" };
	}

	async resumeSandbox(_team: Team, sandboxId: string, request: ResumeRequest): Promise<SandboxView> {
		this.#note("resume", sandboxId, request);
		return this.#become(this.#find(sandboxId), "running");
	}

	async pauseSandbox(_team: Team, sandboxId: string, request: PauseRequest): Promise<void> {
		this.#note("pause", sandboxId, request);
		const before = this.#find(sandboxId);
		if (before.state === "paused") throw new OffshootError("conflict", "already paused");
		this.#become(before, "paused");
	}

	async killSandbox(_team: Team, sandboxId: string): Promise<void> {
		this.#note("kill", sandboxId);
		this.sandboxes.delete(this.#find(sandboxId).sandboxId);
	}

	async setTimeout(_team: Team, sandboxId: string, timeout: number): Promise<void> {
		this.#note("setTimeout", sandboxId, timeout);
		this.#find(sandboxId);
	}

	async refreshSandbox(_team: Team, sandboxId: string, duration: number): Promise<void> {
		this.#note("refresh", sandboxId, duration);
		this.#find(sandboxId);
	}

	async setNetwork(_team: Team, sandboxId: string, update: NetworkUpdate): Promise<void> {
		this.#note("setNetwork", sandboxId, update);
		this.#find(sandboxId);
	}

	async forkSandbox(_team: Team, sandboxId: string, count: number, timeout: Timeout): Promise<readonly ForkResult[]> {
		this.#note("fork", sandboxId, count, timeout);
		this.#find(sandboxId);
		const last: ForkResult = { error: { code: 503, message: "no capacity" } };
		return Array.from({ length: count }, (_, index) => (index === 2 ? last : { sandbox: this.add() }));
	}

	async createSnapshot(_team: Team, sandboxId: string, request: { name: string | undefined }): Promise<SnapshotView> {
		this.#note("snapshot", sandboxId, request);
		const templateId = newTemplateId();
		const snapshot: SnapshotView = {
			snapshotId: request.name === undefined ? `${templateId}:default` : `acme/${request.name}:default`,
			names: request.name === undefined ? [] : [`acme/${request.name}`],
			createdAt: CREATED_AT,
			sourceSandboxId: this.#find(sandboxId).sandboxId,
			parentSnapshotId: undefined,
			templateId,
			sizeBytes: 11_000_000,
			memory: true,
			pauseMs: 38.5,
			engineVersion: "test",
		};
		this.snapshots.push(snapshot);
		return snapshot;
	}

	async listSnapshots(_team: Team, query: ListSnapshotsQuery) {
		this.#note("listSnapshots", query);
		return page(this.snapshots, query.limit, query.nextToken);
	}

	async deleteTemplate(_team: Team, templateRef: string): Promise<void> {
		this.#note("deleteTemplate", templateRef);
		const index = this.snapshots.findIndex((snapshot) => snapshot.snapshotId === templateRef);
		if (index < 0) throw new OffshootError("not_found", `template '${templateRef}' not found`);
		this.snapshots.splice(index, 1);
	}

	async templateAlias(_team: Team, alias: string) {
		this.#note("alias", alias);
		if (alias !== "base") throw new OffshootError("not_found", `template '${alias}' not found`);
		return { templateId: "basebasebasebasebase", public: true };
	}

	async admit() {
		return { kind: "not-found" } as const;
	}

	*signedUrlCandidates() {}

	onGone() {
		return () => {};
	}

	async stats() {
		return { running: this.sandboxes.size, paused: 0 };
	}

	#note(...call: unknown[]): void {
		this.calls.push(call);
		const failure = this.failNext;
		this.failNext = undefined;
		if (failure !== undefined) throw failure;
	}

	#find(sandboxId: string): SandboxView {
		const found = this.sandboxes.get(sandboxId);
		if (found === undefined) throw sandboxNotFound(sandboxId);
		return found;
	}

	#become(view: SandboxView, state: SandboxView["state"]): SandboxView {
		return this.add({ ...view, state });
	}
}
