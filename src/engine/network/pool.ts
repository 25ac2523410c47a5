/**
 * The slots of one instance. Guarantees: a slot handed out is prepared, reaches nothing until a policy is set, and
 * carries no connection of an earlier user; no two callers hold the same slot; whatever a failed step began is removed
 * again, or stays reserved until `adopt` or `destroy` removes it.
 */
import type { Logger } from "pino";
import { OffshootError } from "../../protocol/index.ts";
import { CLOSED_CIDRS } from "./closed.ts";
import type { EgressAuthority } from "./egress/authority.ts";
import { ProxyProcess } from "./egress/proxy-process.ts";
import { listenerRules } from "./egress-rules.ts";
import { type Instance, startInstance } from "./instance.ts";
import { AddressBlock, type InstanceNames, namesOf, proxyUidOf } from "./names.ts";
import { firstPolicyRules, needsProxy, policyRules } from "./policy-rules.ts";
import { makeSlot, prepareSlot, renewSlot, runNft, type SlotRecord, slotAt } from "./slot-host.ts";
import { removeInstanceNetwork } from "./teardown.ts";
import { findTraces, removeTraces, tracedIndexes } from "./traces.ts";
import type { EgressPolicy, Slot, SlotPool } from "./types.ts";

export interface SlotPoolOptions {
	/** 1 to 8 characters of [a-z0-9]; part of every name on the host. */
	readonly instanceId: string;
	/** The instance's own block, from `claimAddressRange`. */
	readonly addressRange: string;
	/** How many free slots to keep ready. */
	readonly ahead: number;
	/** How many slots there may be at all. */
	readonly max: number;
	/** What the operator opened in spite of the closed ranges. An address of this host must be listed by itself. */
	readonly operatorAllowCidrs: readonly string[];
	/** What guests trust for the hosts of header rules. */
	readonly authority: Pick<EgressAuthority, "issue">;
	readonly log: Pick<Logger, "info" | "warn">;
}

/** Clean-up of one slot must end even when the caller is gone. */
const CLEAN_UP_MS = 30_000;

/**
 * Applies the instance's rules, starts its DNS and begins to make slots ahead, after `adopt` where there is something to
 * adopt. Slots that a former process left are neither touched nor handed out before `adopt` has told which of them are in
 * use.
 */
export async function createSlotPool(options: SlotPoolOptions, signal: AbortSignal): Promise<SlotPool> {
	const names = namesOf(options.instanceId);
	const block = new AddressBlock(options.addressRange);
	const instance = await startInstance({ ...options, names, block }, signal);
	try {
		const leftOver = tracedIndexes(await findTraces(names, signal));
		const proxy = newProxy(options, names, block, instance);
		return new HostSlotPool({ options, names, block, instance, proxy, leftOver });
	} catch (error) {
		instance.dns.close();
		throw error;
	}
}

function newProxy(
	{ operatorAllowCidrs, authority, log }: SlotPoolOptions,
	names: InstanceNames,
	block: AddressBlock,
	{ dnsListener }: Instance,
): ProxyProcess {
	const { address, port } = dnsListener;
	const uid = proxyUidOf(block.cidr);
	return new ProxyProcess({
		proxy: {
			address,
			uid,
			dnsServer: `${address}:${port}`,
			closedCidrs: [...CLOSED_CIDRS, block.cidr],
			operatorAllowCidrs,
		},
		authority,
		onListening: async (ports) => {
			await runNft(listenerRules(names, { address, uid, ports }), AbortSignal.timeout(CLEAN_UP_MS));
		},
		log,
	});
}

interface PoolParts {
	readonly options: SlotPoolOptions;
	readonly names: InstanceNames;
	readonly block: AddressBlock;
	readonly instance: Instance;
	readonly proxy: ProxyProcess;
	readonly leftOver: ReadonlySet<number>;
}

class HostSlotPool implements SlotPool {
	readonly #parts: PoolParts;
	readonly #max: number;
	readonly #stop = new AbortController();
	readonly #free: SlotRecord[] = [];
	readonly #used = new Map<number, SlotRecord>();
	/** The last policy that was begun to be set, by slot. */
	readonly #settingPolicy = new WeakMap<SlotRecord, Promise<void>>();
	/** Indexes nothing may be made at: left by a former process, or not cleaned up. */
	readonly #reserved: Set<number>;
	/** Slots being made or cleaned, by index. None of these promises rejects. */
	readonly #busy = new Map<number, Promise<void>>();
	#filling: Promise<void> | undefined;

	constructor(parts: PoolParts) {
		this.#parts = parts;
		this.#max = Math.min(parts.options.max, parts.block.capacity);
		this.#reserved = new Set(parts.leftOver);
		// With something to adopt, `adopt` does it: until then the processors are the start's.
		if (parts.leftOver.size === 0) this.#fill();
	}

	async acquire(signal: AbortSignal): Promise<Slot> {
		const { slot } = await this.#take(signal);
		this.#fill();
		return slot;
	}

	async #take(signal: AbortSignal): Promise<SlotRecord> {
		for (;;) {
			signal.throwIfAborted();
			this.#stop.signal.throwIfAborted();
			const ready = this.#free.shift();
			if (ready !== undefined) {
				this.#used.set(ready.slot.index, ready);
				return ready;
			}
			const index = this.#unusedIndex();
			if (index !== undefined) return this.#make(index, signal, (record) => this.#used.set(index, record));
			if (this.#busy.size === 0) {
				throw new OffshootError(
					"busy",
					`all ${this.#max} network slots of this node are in use; end a sandbox or raise the limit`,
					{ errorCode: "sandbox_capacity_unavailable", retryAfterSeconds: 5, shouldRetry: true },
				);
			}
			await Promise.race(this.#busy.values());
		}
	}

	async prepare(slot: Slot, signal: AbortSignal): Promise<void> {
		const record = this.#recordOf(slot);
		if (!record.prepared) await prepareSlot(this.#parts.names, record, signal);
		// Whoever asked is about to start an engine in it, which takes the addresses away again.
		record.prepared = false;
	}

	async setEgress(slot: Slot, policy: EgressPolicy, signal: AbortSignal): Promise<void> {
		const record = this.#recordOf(slot);
		const setting = this.#applyPolicy(record, policy, signal);
		this.#settingPolicy.set(record, setting);
		await setting;
	}

	async #applyPolicy(record: SlotRecord, policy: EgressPolicy, signal: AbortSignal): Promise<void> {
		const { names, proxy } = this.#parts;
		const rules = (record.closed ? firstPolicyRules : policyRules)(names, record.slot.index, policy);
		record.closed = false;
		// Before the rules that lead to it; and what it still carries ends only when nothing leads to it any more.
		if (needsProxy(policy)) await proxy.set(record.slot.address, policy);
		// The slot may have been given back meanwhile: its next user must not get this policy.
		this.#recordOf(record.slot);
		await runNft(rules, signal);
		if (!needsProxy(policy)) await proxy.drop(record.slot.address);
	}

	async release(slot: Slot): Promise<void> {
		const record = this.#used.get(slot.index);
		if (record === undefined) return;
		this.#used.delete(slot.index);
		await this.#track(slot.index, this.#cleanAfterPolicy(record));
	}

	/** A policy that is still being set must have come to its end, or it would land on the slot's next user. */
	async #cleanAfterPolicy(record: SlotRecord): Promise<void> {
		await this.#settingPolicy.get(record)?.catch(() => {});
		await this.#clean(record);
	}

	async #clean(record: SlotRecord): Promise<void> {
		const { names, options, proxy } = this.#parts;
		try {
			await renewSlot(names, record, AbortSignal.timeout(CLEAN_UP_MS));
			await proxy.drop(record.slot.address);
			this.#free.push(record);
		} catch (error) {
			options.log.warn({ err: error, slot: record.slot.index }, "network slot could not be cleaned; removing it");
			await this.#discard(record.slot.index);
		}
	}

	async adopt(indexes: readonly number[], signal: AbortSignal): Promise<void> {
		const { names, block } = this.#parts;
		const traces = await findTraces(names, signal);
		for (const index of indexes) {
			const generation = traces.rules.generations.get(index);
			if (generation === undefined || this.#used.has(index)) continue;
			this.#used.set(index, { slot: slotAt(names, block, index), generation, prepared: false, closed: false });
			this.#reserved.delete(index);
		}
		const known = new Set([...this.#used.keys(), ...this.#free.map(({ slot }) => slot.index), ...this.#busy.keys()]);
		await removeTraces(names, traces, (index) => !known.has(index), signal);
		this.#reserved.clear();
		this.#fill();
	}

	stats(): { readonly free: number; readonly used: number } {
		return { free: this.#free.length, used: this.#used.size };
	}

	async close(): Promise<void> {
		this.#stop.abort(new OffshootError("busy", "the node is stopping"));
		await this.#filling;
		await Promise.all(this.#busy.values());
		this.#parts.proxy.close();
		this.#parts.instance.dns.close();
	}

	async destroy(signal: AbortSignal): Promise<void> {
		if (!this.#stop.signal.aborted) await this.close();
		this.#free.length = 0;
		this.#used.clear();
		await removeInstanceNetwork(this.#parts.options.instanceId, signal);
	}

	#recordOf(slot: Slot): SlotRecord {
		const record = this.#used.get(slot.index);
		if (record === undefined) throw new Error(`network slot ${slot.index} is not in use`);
		return record;
	}

	/** Smallest index at which nothing is, or undefined when there may be no more slots. */
	#unusedIndex(): number | undefined {
		const taken = new Set([
			...this.#used.keys(),
			...this.#free.map(({ slot }) => slot.index),
			...this.#busy.keys(),
			...this.#reserved,
		]);
		if (taken.size >= this.#max) return undefined;
		let index = 0;
		while (taken.has(index)) index++;
		return index;
	}

	/** `place` runs before the index stops being busy, so that it is accounted for at every moment. */
	async #make(index: number, signal: AbortSignal, place: (record: SlotRecord) => void): Promise<SlotRecord> {
		const { names, block, instance } = this.#parts;
		const making = makeSlot(names, block, index, instance.mtu, AbortSignal.any([signal, this.#stop.signal]));
		await this.#track(
			index,
			making.then(place, () => this.#discard(index)),
		);
		return making;
	}

	/** Removes whatever there is of a slot; if even that fails its index is not used again. */
	async #discard(index: number): Promise<void> {
		const { names, options } = this.#parts;
		const signal = AbortSignal.timeout(CLEAN_UP_MS);
		try {
			await removeTraces(names, await findTraces(names, signal), (found) => found === index, signal);
		} catch (error) {
			this.#reserved.add(index);
			options.log.warn({ err: error, slot: index }, "network slot could not be removed; it stays reserved until the next start");
		}
	}

	async #track(index: number, work: Promise<void>): Promise<void> {
		const tracked = work.finally(() => this.#busy.delete(index));
		this.#busy.set(index, tracked);
		await tracked;
	}

	/** Makes slots ahead, one after the other so that a burst of creates finds the processors free. */
	#fill(): void {
		if (this.#filling !== undefined || this.#stop.signal.aborted) return;
		this.#filling = this.#makeAhead().finally(() => {
			this.#filling = undefined;
		});
	}

	async #makeAhead(): Promise<void> {
		while (!this.#stop.signal.aborted && this.#free.length + this.#busy.size < this.#parts.options.ahead) {
			const index = this.#unusedIndex();
			if (index === undefined) return;
			try {
				await this.#make(index, this.#stop.signal, (record) => this.#free.push(record));
			} catch (error) {
				if (!this.#stop.signal.aborted) this.#parts.options.log.warn({ err: error }, "making a network slot ahead failed");
				return;
			}
		}
	}
}
