/** The hosts that sandboxes run on, for the operator. This server has one. */
import { randomUUID } from "node:crypto";
import type { SandboxRecord } from "../fleet/index.ts";
import type { HostFacts } from "../node/index.ts";
import { OffshootError } from "../protocol/index.ts";
import type { Core } from "./core.ts";
import type { NodeStatus } from "./placement.ts";

export interface NodeView {
	readonly id: string;
	/** Another one after each start of the server. */
	readonly serviceInstanceId: string;
	/** Only a ready one takes sandboxes that are not running yet. */
	readonly status: NodeStatus;
	readonly host: HostFacts;
	readonly running: number;
	readonly starting: number;
	/** What the sandboxes that run were promised. */
	readonly allocatedCpu: number;
	readonly allocatedMemoryBytes: number;
	/** Since the start of the server. */
	readonly createSuccesses: number;
	readonly createFails: number;
}

export interface Nodes {
	list(signal: AbortSignal): Promise<readonly NodeView[]>;
	/** @returns also the ids of the artifacts it holds. @throws OffshootError not_found */
	get(nodeId: string, signal: AbortSignal): Promise<NodeView & { readonly artifactIds: readonly string[] }>;
	/** Until the server ends: the next one is ready. @throws OffshootError not_found */
	setStatus(nodeId: string, status: NodeStatus): void;
	/** Running sandboxes by team; teams without any are left out. */
	runningCounts(): ReadonlyMap<string, number>;
}

const MB = 1024 * 1024;

export class NodeWatch implements Nodes {
	readonly #core: Core;
	readonly #serviceInstanceId = randomUUID();
	#createSuccesses = 0;
	#createFails = 0;

	constructor(core: Core) {
		this.#core = core;
	}

	noteStart(): void {
		this.#createSuccesses++;
	}

	noteFail(): void {
		this.#createFails++;
	}

	async list(signal: AbortSignal): Promise<readonly NodeView[]> {
		return [await this.#view(signal)];
	}

	async get(nodeId: string, signal: AbortSignal): Promise<NodeView & { readonly artifactIds: readonly string[] }> {
		this.#assertNode(nodeId);
		const artifacts = await this.#core.node.listArtifacts(signal);
		return { ...(await this.#view(signal)), artifactIds: artifacts.map(({ artifactId }) => artifactId) };
	}

	setStatus(nodeId: string, status: NodeStatus): void {
		this.#assertNode(nodeId);
		this.#core.placement.become(status);
		this.#core.log.info({ nodeId, status }, "the operator set the node's status");
	}

	runningCounts(): ReadonlyMap<string, number> {
		const counts = new Map<string, number>();
		for (const { teamId } of this.#active()) counts.set(teamId, (counts.get(teamId) ?? 0) + 1);
		return counts;
	}

	#assertNode(nodeId: string): void {
		if (nodeId === this.#core.node.nodeId) return;
		throw new OffshootError("not_found", `node '${nodeId.slice(0, 80)}' does not exist`);
	}

	async #view(signal: AbortSignal): Promise<NodeView> {
		const { node, ledger } = this.#core;
		const active = this.#active();
		return {
			id: node.nodeId,
			serviceInstanceId: this.#serviceInstanceId,
			status: this.#core.placement.status,
			host: await node.host(signal),
			running: active.length,
			starting: [...ledger.all()].filter(({ state }) => state === "starting" || state === "resuming").length,
			allocatedCpu: active.reduce((sum, { resources }) => sum + resources.cpuCount, 0),
			allocatedMemoryBytes: active.reduce((sum, { resources }) => sum + resources.memoryMB * MB, 0),
			createSuccesses: this.#createSuccesses,
			createFails: this.#createFails,
		};
	}

	/** Those that have a container which answers. */
	#active(): readonly SandboxRecord[] {
		return [...this.#core.ledger.all()].filter(({ state }) => !WITHOUT_CONTAINER.includes(state));
	}
}

const WITHOUT_CONTAINER: readonly SandboxRecord["state"][] = ["starting", "resuming", "paused"];
