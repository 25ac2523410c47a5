/** For tests only: a control that keeps everything in memory, and the API in front of it on a port of its own. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
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
} from "../control/index.ts";
import { newSandboxId, newTemplateId, OffshootError, sandboxNotFound } from "../protocol/index.ts";
import { createApi } from "./api.ts";

export const API_KEY = `e2b_${"0123456789abcdef".repeat(2)}01234567`;
export const DOMAIN = "sandboxes.test:8443";
const SAMPLE = {
	at: 1_767_323_045_678,
	cpuCount: 2,
	cpuUsedPct: 12.5,
	memUsed: 1,
	memTotal: 2,
	memCache: 3,
	diskUsed: 4,
	diskTotal: 5,
};
const BUILD = {
	id: "build-1",
	templateId: "one",
	kind: "template",
	status: "ready",
	memory: true,
	resources: { cpuCount: 2, memoryMB: 512, diskSizeMB: 1024 },
	envdVersion: "0.6.13",
	parentBuildId: undefined,
	sourceSandboxId: undefined,
	rootfsId: "rootfs",
	sizeBytes: 1,
	pauseMs: 1,
	engineVersion: "engine-1",
	envs: {},
	createdAt: new Date("2026-01-02T03:04:05Z"),
	deletedAt: undefined,
} as const;
export const ADMIN_TOKEN = "admin-secret";
const NODE = {
	id: "node-1",
	serviceInstanceId: "run-1",
	host: {
		machine: { cpuFamily: "6", cpuModel: "1", cpuModelName: "Test", cpuArchitecture: "x86_64" },
		cpuCount: 4,
		cpuPercent: 12.5,
		memoryTotalBytes: 8_000,
		memoryUsedBytes: 5_000,
		disk: { mountPoint: "/", device: "/dev/test", filesystemType: "ext4", totalBytes: 900, usedBytes: 300 },
	},
	running: 2,
	starting: 1,
	allocatedCpu: 4,
	allocatedMemoryBytes: 1_024,
	createSuccesses: 7,
	createFails: 1,
};
const TEAM: Team = { id: "team-1", slug: "acme" };

function page<T>(items: readonly T[], limit: number, token: string | undefined) {
	const from = Number(token ?? 0);
	const to = from + limit;
	return { items: items.slice(from, to), nextToken: to < items.length ? String(to) : undefined };
}

export class FakeControl implements Control {
	readonly accounts = fakeAccounts();
	readonly catalog = fakeCatalog();
	readonly logs: Control["logs"] = {
		read: async (_team, sandboxId, query) => {
			this.#note("logs", sandboxId, query);
			return [{ atMs: 1_767_323_045_678, level: "warn", logger: "agent", message: "hook failed" }];
		},
	};
	readonly metrics: Control["metrics"] = {
		ofSandbox: (_team, sandboxId, window) => {
			this.#note("metrics", sandboxId, window);
			return [SAMPLE];
		},
		newest: (_team, ids) => new Map(ids.map((id) => [id, SAMPLE])),
		ofTeam: (_team, window) => {
			this.#note("teamMetrics", window);
			return [
				{ at: 1_767_323_045_000, concurrentSandboxes: 3, startRate: 0.2 },
				{ at: 1_767_323_050_000, concurrentSandboxes: 2, startRate: 0.4 },
			];
		},
	};
	readonly nodes: Control["nodes"] = {
		list: async () => [NODE],
		get: async (nodeId) => {
			if (nodeId !== NODE.id) throw new OffshootError("not_found", `node '${nodeId}' does not exist`);
			return { ...NODE, artifactIds: ["build-1"] };
		},
		runningCounts: () => new Map([[TEAM.id, 2]]),
	};
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

	async forkSandbox(_team: Team, sandboxId: string, count: number, timeout: number): Promise<readonly ForkResult[]> {
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
			createdAt: new Date("2026-01-02T03:04:05Z"),
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

/** Two templates; changes are told back. */
function fakeCatalog(): Control["catalog"] {
	const createdAt = new Date("2026-01-02T03:04:05Z");
	const view = (id: string) => ({
		template: {
			id,
			teamId: TEAM.id,
			kind: "template",
			public: false,
			sourceSandboxId: undefined,
			createdAt,
			updatedAt: createdAt,
			deletedAt: undefined,
		} as const,
		spawnCount: 2,
		lastSpawnedAt: undefined,
		buildCount: 1,
		aliases: ["x"],
		names: ["acme/x"],
		build: BUILD,
	});
	return {
		list: async (_team, { limit, nextToken }) => page([view("one"), view("two")], limit, nextToken),
		defaults: async () => [view("base")],
		get: async (_team, ref, { limit, nextToken }) => ({ ...page([BUILD], limit, nextToken), template: view(ref) }),
		tags: async () => [{ tag: "v1", buildId: "build-1", createdAt }],
		addTags: async (_team, _target, tags) => ({ buildId: "build-1", tags }),
		removeTags: async () => {},
		setVisibility: async () => ["acme/x"],
	};
}

/** One team without keys; what is asked of it is told back. */
function fakeAccounts(): Control["accounts"] {
	const createdAt = new Date("2026-01-02T03:04:05Z");
	const mask = { prefix: "e2b_", valueLength: 40, maskedValuePrefix: "01", maskedValueSuffix: "4567" };
	const key = (id: string, name: string) => ({
		id,
		teamId: TEAM.id,
		name,
		mask,
		createdAt,
		firstUsedAt: undefined,
		lastUsedAt: createdAt,
	});
	const acme = { ...TEAM, name: "Acme", createdAt, limits: { maxSandboxes: undefined, maxTimeoutSeconds: undefined } };
	return {
		team: async () => acme,
		listKeys: async () => [key("key-1", "first")],
		createKey: async (_team, name) => ({ ...key("key-2", name), key: API_KEY }),
		renameKey: async (_team, id, name) => key(id, name),
		revokeKey: async () => {},
		listTeams: async () => [acme],
		createTeam: async (slug, name) => ({ ...acme, id: "team-2", slug, name: name ?? slug }),
		setTeamLimits: async (_id, change) => ({
			...acme,
			limits: { maxSandboxes: change.maxSandboxes ?? undefined, maxTimeoutSeconds: undefined },
		}),
		teamById: async (id) => {
			if (id !== TEAM.id) throw new OffshootError("not_found", `team '${id}' does not exist`);
			return acme;
		},
		killAll: async () => 3,
	};
}

export interface OpenApi extends AsyncDisposable {
	readonly control: FakeControl;
	readonly url: string;
	readonly shutdown: AbortController;
	/** Sends a request with the right key; returns status, body and headers. */
	call(
		method: string,
		path: string,
		body?: unknown,
		headers?: Record<string, string>,
		// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
	): Promise<{ status: number; body: any; headers: Headers }>;
}

export async function openApi(): Promise<OpenApi> {
	const control = new FakeControl();
	const shutdown = new AbortController();
	const log = pino({ level: "silent" });
	const api = await createApi({
		control,
		adminToken: ADMIN_TOKEN,
		domain: DOMAIN,
		log,
		version: "0.0.0",
		signal: shutdown.signal,
	});
	const server = createServer(api.handler);
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return {
		control,
		url,
		shutdown,
		async call(method, path, body, headers = {}) {
			const answer = await fetch(url + path, {
				method,
				headers: { "X-API-KEY": API_KEY, ...headers },
				...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
			});
			const text = await answer.text();
			return { status: answer.status, body: text === "" ? undefined : JSON.parse(text), headers: answer.headers };
		},
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
			await api.close();
		},
	};
}
