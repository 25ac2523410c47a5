/** What the server and its egress proxy say to each other. */
import { Type } from "typebox";
import type { EgressPolicy } from "../types.ts";

/** Argument of the proxy's process, as JSON. */
export interface ProxyOptions {
	/** Address of this host at which redirected connections arrive. */
	readonly address: string;
	/** DNS server to ask, `address:port`. */
	readonly dnsServer: string;
	/** User and group that the process becomes before it listens. */
	readonly uid: number;
	/** Ranges that no connection is made to, exceptions included. */
	readonly closedCidrs: readonly string[];
	readonly operatorAllowCidrs: readonly string[];
}

/** Sets the policy of the slot with this address; without one its connections end. */
export interface SetPolicy {
	readonly id: number;
	readonly slot: string;
	readonly policy: EgressPolicy | undefined;
}

/** The answer to a request for a certificate; without one it was refused. PEM. */
export interface Issued {
	readonly issued: number;
	readonly certified: { readonly cert: string; readonly key: string } | undefined;
}

/** Ports by what arrives there: connections that were meant for port 80, for port 443, for any port. */
export const ListenerPorts = Type.Object({
	http: Type.Integer({ minimum: 1, maximum: 65535 }),
	tls: Type.Integer({ minimum: 1, maximum: 65535 }),
	/** Missing when this Node cannot tell where a connection was meant to go. */
	any: Type.Optional(Type.Integer({ minimum: 1, maximum: 65535 })),
});

/** The process handles what strangers send: its word is checked like theirs. */
export const FromProxy = Type.Union([
	Type.Object({ listening: ListenerPorts }),
	Type.Object({ done: Type.Integer() }),
	/** It needs a certificate for the host of a header rule. */
	Type.Object({ issue: Type.Integer(), name: Type.String({ maxLength: 253 }) }),
]);
