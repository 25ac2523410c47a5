import { isDeepStrictEqual } from "node:util";
import type { ContainerConfig, EgressPolicy, SandboxEngine, SlotPool } from "../engine/index.ts";
import { containerId } from "../protocol/index.ts";
import type { Artifact } from "../store/index.ts";
import { agentClient } from "./agent-client.ts";
import { coldStart } from "./cold-start.ts";
import type { ContainerAhead } from "./containers-ahead.ts";
import { newControlKey } from "./control-key.ts";
import { hostProcess } from "./host-process.ts";
import { startsInterpreter } from "./init-env.ts";
import type { NodeOptions } from "./options.ts";
import type { ContainerRecord } from "./records.ts";
import { agentInit, newRecord } from "./start-order.ts";
import type { OrderKey, StartOrder } from "./types.ts";

export interface StartFrom {
	readonly order: StartOrder;
	readonly artifact: Artifact;
	readonly place: ContainerAhead;
}

/** A slot for a container that was not made ahead. */
export async function newPlace(slots: SlotPool, order: OrderKey, signal: AbortSignal): Promise<ContainerAhead> {
	const slot = await slots.acquire(signal);
	try {
		await slots.prepare(slot, signal);
	} catch (error) {
		await slots.release(slot);
		throw error;
	}
	return { id: containerId(order.sandboxId, order.incarnation), slot };
}

/**
 * One start: an artifact in a place, until its agent is initialised and the sandbox is written down as ready. Whoever
 * begins it removes `record`'s container when it fails.
 */
export class Start {
	readonly record: ContainerRecord;
	readonly #options: NodeOptions;
	readonly #from: StartFrom;
	readonly #signal: AbortSignal;

	constructor(options: NodeOptions, from: StartFrom, signal: AbortSignal) {
		this.#options = options;
		this.#from = from;
		this.#signal = signal;
		this.record = newRecord(from.order, from.artifact, from.place);
	}

	/** With the artifact's memory. */
	async restore(): Promise<ContainerRecord> {
		const state = await this.#begin((engine, config) => engine.restore(config, this.#from.artifact.imageDir, this.#signal));
		const ready = await this.#initialise({ ...this.record, ...hostProcess(state.pid) });
		await this.#options.records.put(ready);
		return ready;
	}

	/** Without: every program of the guest begins anew. */
	async boot(): Promise<ContainerRecord> {
		const { artifact, order } = this.#from;
		const { cpuFeatures, records } = this.#options;
		const { state, controlKey } = await this.#begin((engine, config) =>
			coldStart(this.#options, engine, config, { artifact, hostname: order.sandboxId }, this.#signal),
		);
		const { slot, spec } = this.record;
		await agentClient.awaitAgent(slot.address, this.#signal);
		const booted = { ...this.record, ...hostProcess(state.pid), controlKey, cpuFeatures: [...cpuFeatures] };
		const ready = await this.#initialise(booted);
		if (startsInterpreter(spec)) await agentClient.awaitInterpreter(slot.address, this.#signal);
		await records.put(ready);
		return ready;
	}

	async #begin<T>(run: (engine: SandboxEngine, config: ContainerConfig) => Promise<T>): Promise<T> {
		const { engines, store, records } = this.#options;
		await this.#correctOpenSlot();
		const engine = await engines.open(this.record.engine);
		const rootfs = await store.rootfs(this.record.rootfs.id);
		await records.put(this.record);
		const { containerId: id, slot, spec, resources } = this.record;
		// Both must have ended before anybody cleans up after one of them.
		const [begun, policySet] = await Promise.allSettled([
			run(engine, { id, rootfsPath: rootfs.path, slot, spec, resources }),
			this.#openClosedSlot(),
		]);
		if (begun.status === "rejected") throw begun.reason;
		if (policySet.status === "rejected") throw policySet.reason;
		return begun.value;
	}

	/** A slot that is open already gets the guest's own policy before the guest begins. */
	async #correctOpenSlot(): Promise<void> {
		const { order, place } = this.#from;
		if (place.egress === undefined || isDeepStrictEqual(place.egress, order.egress)) return;
		await this.#setEgress(order.egress);
	}

	/** One that reaches nothing yet may get it while the guest begins. */
	async #openClosedSlot(): Promise<void> {
		const { order, place } = this.#from;
		if (place.egress === undefined) await this.#setEgress(order.egress);
	}

	async #setEgress(policy: EgressPolicy): Promise<void> {
		await this.#options.slots.setEgress(this.record.slot, policy, this.#signal);
	}

	/** @param record with the control key that the agent trusts now */
	async #initialise(record: ContainerRecord): Promise<ContainerRecord> {
		const { trust } = this.#options;
		const next = newControlKey();
		const init = agentInit(this.#from.order, record, next.publicKey, trust);
		await agentClient.init(record.slot.address, init, record.controlKey, this.#signal);
		return { ...record, phase: "ready", controlKey: next.privateKey, ...(trust && { trust: trust.digest }) };
	}
}
