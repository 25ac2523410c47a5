/** A whole control plane for a test: a real database file, a fake host that outlives the server, a clock in the test's hand. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, vi } from "vitest";
import { type Fleet, openFleet, type SandboxRecord } from "../../fleet/index.ts";
import { AGENT_PORT } from "../../protocol/index.ts";
import { type ControlLifecycle, createControl } from "../control.ts";
import type { Gone } from "../core.ts";
import type { Limits } from "../limits.ts";
import type { Admission, Control, CreateSandboxRequest, PauseRequest, SandboxView, Team, Timeout } from "../types.ts";
import { FakeHost, FakeNode, facts } from "./fake-node.ts";
import { Faults, faultyFleet } from "./faults.ts";
import { ManualClock } from "./manual-clock.ts";

export const BASE_ARTIFACT = "11111111-1111-4111-8111-111111111111";
const signal = new AbortController().signal;

/** Tries until it holds: for what happens in the background. */
export function eventually(check: () => Promise<void> | void): Promise<void> {
	return vi.waitFor(check, { timeout: 15_000, interval: 5 });
}

interface Server {
	readonly fleet: Fleet;
	readonly node: FakeNode;
	readonly control: Control & ControlLifecycle;
}

export class World {
	readonly host = new FakeHost();
	readonly clock = new ManualClock();
	readonly gone: Gone[] = [];
	faults = new Faults();
	readonly #directory: string;
	readonly #limits: Partial<Limits>;
	#server: Server | undefined;

	constructor(directory: string, limits: Partial<Limits>) {
		this.#directory = directory;
		this.#limits = limits;
	}

	static async open(limits: Partial<Limits> = {}): Promise<World> {
		const world = new World(await mkdtemp(join(tmpdir(), "offshoot-control-")), limits);
		world.host.artifacts.set(BASE_ARTIFACT, {
			facts: facts(BASE_ARTIFACT, { envs: { FROM: "template" } }),
			memory: [],
			files: [],
		});
		await world.start();
		return world;
	}

	/** A server on what is there. */
	async start(): Promise<void> {
		const fleet = await openFleet({ path: join(this.#directory, "fleet.db") }, signal);
		const node = new FakeNode(this.host, this.faults);
		const options = { fleet: faultyFleet(fleet, this.faults), node, clock: this.clock, limits: this.#limits };
		const control = await createControl(options);
		control.onGone((gone) => this.gone.push(gone));
		this.#server = { fleet, node, control };
		await control.registerTemplate("base", facts(BASE_ARTIFACT, { envs: { FROM: "template" } }));
		await control.start(signal);
	}

	/** The process is gone, as after SIGKILL: nothing it still had under way happens any more. */
	async crash(): Promise<void> {
		this.faults.hook = () => new Promise(() => {});
		await this.#server?.fleet.close();
		this.#server = undefined;
		this.faults = new Faults();
	}

	async crashAndStart(): Promise<void> {
		await this.crash();
		await this.start();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.control.close();
		await this.fleet.close();
		await rm(this.#directory, { recursive: true });
	}

	get control(): Control & ControlLifecycle {
		return this.#running.control;
	}

	get fleet(): Fleet {
		return this.#running.fleet;
	}

	get node(): FakeNode {
		return this.#running.node;
	}

	get team(): Team {
		return this.fleet.defaultTeam;
	}

	get #running(): Server {
		if (!this.#server) throw new Error("the server was never started");
		return this.#server;
	}

	get request(): CreateSandboxRequest {
		return REQUEST;
	}

	create(change: Partial<CreateSandboxRequest> = {}): Promise<SandboxView> {
		return this.control.createSandbox(this.team, { ...REQUEST, ...change }, signal);
	}

	get(id: string): Promise<SandboxView> {
		return this.control.getSandbox(this.team, id);
	}

	pause(id: string, change: Partial<PauseRequest> = {}): Promise<void> {
		return this.control.pauseSandbox(this.team, id, { memory: true, requireHealthyGuest: false, ...change }, signal);
	}

	connect(id: string, timeout: Timeout = 300, memory = true): Promise<{ sandbox: SandboxView; resumed: boolean }> {
		return this.control.connectSandbox(this.team, id, { timeout, memory }, signal);
	}

	kill(id: string): Promise<void> {
		return this.control.killSandbox(this.team, id, signal);
	}

	snapshot(id: string, name?: string) {
		return this.control.createSnapshot(this.team, id, { name, memory: true, inheritEnv: true }, signal);
	}

	fork(id: string, count: number, timeout: Timeout = 300) {
		return this.control.forkSandbox(this.team, id, count, timeout, signal);
	}

	admit(
		id: string,
		change: { port?: number; accessToken?: string; trafficToken?: string; preflight?: boolean } = {},
	): Promise<Admission> {
		const tokens = { accessToken: undefined, trafficToken: undefined };
		const request = { sandboxId: id, port: AGENT_PORT, preflight: false, ...tokens, ...change };
		return this.control.admit(request, signal);
	}

	async snapshots(): Promise<readonly string[]> {
		const query = { sandboxId: undefined, name: undefined, limit: 100, nextToken: undefined };
		return (await this.control.listSnapshots(this.team, query)).items.map((snapshot) => snapshot.snapshotId);
	}

	async row(id: string): Promise<SandboxRecord> {
		const row = await this.fleet.sandboxes.get(id);
		if (!row) throw new Error(`no row ${id}`);
		return row;
	}

	/** A client's request to the guest, along the way that the edge takes. */
	async write(id: string, text: string): Promise<void> {
		const admission = await this.admit(id);
		if (admission.kind !== "proxy") throw new Error(`not admitted: ${admission.kind}`);
		const container = this.host.container({ sandboxId: id, incarnation: admission.incarnation });
		if (!container || container.frozen || container.address !== admission.address) throw new Error("admitted to nowhere");
		container.memory.push(text);
	}

	/** What the guest remembers, of a running or a paused sandbox. */
	async memory(id: string): Promise<readonly string[]> {
		return (await this.#holder(id)).memory;
	}

	/** What the guest has on its disk. */
	async files(id: string): Promise<readonly string[]> {
		return (await this.#holder(id)).files;
	}

	async #holder(id: string) {
		const row = await this.row(id);
		const holder = row.pauseArtifactId ? this.host.artifacts.get(row.pauseArtifactId) : this.host.container(asKey(row));
		if (!holder) throw new Error(`sandbox ${id} is ${row.state} but the host has nothing of it`);
		return holder;
	}

	async memoryOf(ids: readonly string[]): Promise<readonly (readonly string[])[]> {
		return Promise.all(ids.map((id) => this.memory(id)));
	}

	/** What must hold whenever nothing is under way. */
	async checkInvariants(): Promise<void> {
		const rows = await this.fleet.sandboxes.living();
		expect(rows.filter((row) => row.state !== "running" && row.state !== "paused")).toEqual([]);
		expect(rows.filter((row) => row.operationId || row.pendingArtifactId)).toEqual([]);
		const running = rows.filter((row) => row.state === "running");
		const expected = running.map(({ id, incarnation, address, accessToken }) => ({
			sandboxId: id,
			incarnation,
			address,
			accessToken,
			frozen: false,
		}));
		const containers = [...this.host.containers.values()].map(({ sandboxId, incarnation, address, accessToken, frozen }) => ({
			sandboxId,
			incarnation,
			address,
			accessToken,
			frozen,
		}));
		expect(sorted(containers)).toEqual(sorted(expected));
		expect([...this.host.artifacts.keys()].sort()).toEqual([...(await this.fleet.builds.livingIds())].sort());
		for (const row of rows) {
			if (row.state === "paused") expect(this.host.artifacts.has(row.pauseArtifactId ?? "")).toBe(true);
			else expect(row.pauseArtifactId).toBeUndefined();
		}
	}
}

const REQUEST: CreateSandboxRequest = {
	templateRef: "base",
	timeout: 300,
	autoPause: false,
	autoPauseMemory: true,
	autoResume: false,
	secure: true,
	allowInternetAccess: undefined,
	network: undefined,
	metadata: {},
	envs: {},
};

function asKey(row: SandboxRecord): { readonly sandboxId: string; readonly incarnation: number } {
	return { sandboxId: row.id, incarnation: row.incarnation };
}

function sorted<T extends { readonly sandboxId: string }>(items: readonly T[]): readonly T[] {
	return items.toSorted((a, b) => a.sandboxId.localeCompare(b.sandboxId));
}
