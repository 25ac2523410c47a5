/** One prepared place for a container on the host's network: a namespace, a veth pair and an address of its own. */
export interface Slot {
	readonly index: number;
	readonly netnsPath: string;
	/** Address under which the host reaches the guest; translated to the guest's fixed one on the veth. */
	readonly address: string;
}

/** What a sandbox may reach. The closed ranges of the operator come before everything a tenant says. */
export interface EgressPolicy {
	/** False: nothing outside is reachable except what is allowed; names are resolved only if `allowDomains` has any. */
	readonly internet: boolean;
	/** Reachable whatever else is closed, like `allowDomains`. */
	readonly allowCidrs: readonly string[];
	readonly denyCidrs: readonly string[];
	/**
	 * Host names in lower case, and `*.` with a name for its subdomains: reachable over HTTP on port 80 and over TLS on port
	 * 443, by the name that the client says there.
	 */
	readonly allowDomains?: readonly string[];
	/** Carries every TCP connection that the rest allows; other protocols are closed then, but for DNS. */
	readonly egressProxy?: SocksProxy;
	/** Header fields put into requests to these hosts, over HTTP on port 80 and over TLS on port 443. They open nothing. */
	readonly headerRules?: readonly HeaderRule[];
}

export interface HeaderRule {
	/** A host name in lower case, or `*.` and a name for its subdomains. */
	readonly domain: string;
	/** Replace what a request has under the same name. Secrets, most of them. */
	readonly headers: Readonly<Record<string, string>>;
}

/** A SOCKS5 proxy. It is reached only at an open address, whatever its name resolves to. */
export interface SocksProxy {
	/** IPv4 address or host name. */
	readonly host: string;
	readonly port: number;
	/** At most 255 bytes each; without a name the proxy is asked for no authentication. */
	readonly username?: string;
	readonly password?: string;
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
