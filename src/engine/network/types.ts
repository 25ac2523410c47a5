/** One prepared place for a container on the host's network: a namespace, a veth pair and an address of its own. */
export interface Slot {
	readonly index: number;
	readonly netnsPath: string;
	/** Address under which the host reaches the guest; translated to the guest's fixed one on the veth. */
	readonly address: string;
}

/** What a sandbox may reach. The closed ranges of the operator come before everything a tenant says. */
export interface EgressPolicy {
	/** False: nothing outside is reachable except `allowCidrs`, and no name is resolved. */
	readonly internet: boolean;
	readonly allowCidrs: readonly string[];
	readonly denyCidrs: readonly string[];
}

export interface SlotPool {
	/** A clean slot that reaches nothing until `setEgress`, taken from those made ahead or made now. @throws OffshootError busy when all are taken */
	acquire(signal: AbortSignal): Promise<Slot>;
	/** Puts back what an engine took off the slot's interface; must precede every boot and restore in it. */
	prepare(slot: Slot, signal: AbortSignal): Promise<void>;
	/** Replaces the slot's policy; in force when the promise resolves. */
	setEgress(slot: Slot, policy: EgressPolicy, signal: AbortSignal): Promise<void>;
	/** Makes the slot reusable, or destroys it when it cannot be made clean. Never throws for a slot already gone. */
	release(slot: Slot): Promise<void>;
	/** After a restart: marks the slots in use and removes every other trace of this instance on the host. */
	adopt(indexes: readonly number[], signal: AbortSignal): Promise<void>;
	/** Figures for `status`. */
	stats(): { readonly free: number; readonly used: number };
	/** Stops making slots ahead. With `adopted` slots left on the host for the next server. */
	close(): Promise<void>;
	/** Removes every trace of this instance from the host: namespaces, veths, nft tables, routes. */
	destroy(signal: AbortSignal): Promise<void>;
}
