/**
 * Carries the connections of guests whose policy names domains or a SOCKS proxy. nft leads them here; who asks is known
 * by the slot's address, which no guest can forge. Guarantees: a connection is made only to an address that was checked
 * right before, never to a closed one, and ends when its slot's policy no longer allows it.
 *
 * A name is what the client's first bytes say, and stands for the whole connection. It is resolved here: the address
 * that the guest had in mind may be anybody's, under an allowed name.
 */
import { once } from "node:events";
import { type BlockList, connect, createServer, type Server, type Socket } from "node:net";
import type { EgressPolicy, SocksProxy } from "../types.ts";
import { blockListOf, type Destinations } from "./destinations.ts";
import { matchesDomain } from "./domains.ts";
import type { OriginalDestination } from "./original-destination.ts";
import { MAX_SNIFFED_BYTES, type Sniffed, sniffHttp, sniffTls } from "./sniff.ts";
import { socksConnect } from "./socks.ts";
import { Turns } from "./turns.ts";

/** Open connections of one slot, so that one guest cannot take all the descriptors. */
const MAX_CONNECTIONS_PER_SLOT = 1024;
/** Time for a client to say what it wants, and for the way there to be made, ms. */
const NAME_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 10_000;
const MAX_ADDRESSES_TRIED = 3;
/** Names of one slot that are looked up at a time: the host's resolver is everybody's. */
const MAX_LOOKUPS_PER_SLOT = 16;
const KEEP_ALIVE_MS = 60_000;

const HTTP_PORT = 80;
const TLS_PORT = 443;
const SNIFFERS: Readonly<Record<number, (bytes: Buffer) => Sniffed>> = { [HTTP_PORT]: sniffHttp, [TLS_PORT]: sniffTls };

/** Why a connection is allowed. */
type Grant = { readonly name: string; readonly port: number } | { readonly address: string; readonly port: number };

interface Policy {
	readonly allow: BlockList;
	readonly deny: BlockList;
	readonly internet: boolean;
	readonly domains: readonly string[];
	readonly socks: SocksProxy | undefined;
}

interface Connection {
	readonly client: Socket;
	upstream?: Socket;
	grant?: Grant;
	via?: string;
}

/** Port a connection was meant for, and the address if it is known. */
interface Meant {
	readonly port: number;
	readonly address: string | undefined;
}

export class EgressProxy {
	readonly #destinations: Destinations;
	readonly #policies = new Map<string, Policy>();
	readonly #connections = new Map<string, Set<Connection>>();
	readonly #lookups = new Turns(MAX_LOOKUPS_PER_SLOT);

	constructor(destinations: Destinations) {
		this.#destinations = destinations;
	}

	/** Listens at a free port for connections that were meant for `port`. */
	async listenFor(port: 80 | 443, address: string): Promise<number> {
		return listen(address, (client) => void this.#serve(client, { port, address: undefined }));
	}

	/** Listens at a free port for connections that were meant for any address and port. */
	async listenForAny(original: OriginalDestination, address: string): Promise<number> {
		return listen(address, (client) => void this.#serve(client, original(client)));
	}

	/** Replaces the policy of the slot with this address. Connections that the new one does not allow end. */
	set(slot: string, policy: EgressPolicy | undefined): void {
		if (policy === undefined) this.#policies.delete(slot);
		else this.#policies.set(slot, readPolicy(policy));
		for (const connection of this.#connections.get(slot) ?? []) {
			if (connection.grant !== undefined && !this.#holds(slot, connection.grant, connection.via)) cut(connection);
		}
	}

	async #serve(client: Socket, meant: Meant | undefined): Promise<void> {
		// The close that follows an error ends both sides.
		client.on("error", () => {});
		const slot = client.remoteAddress;
		if (slot === undefined || meant === undefined || !this.#policies.has(slot)) return void client.resetAndDestroy();
		const connections = this.#connections.get(slot) ?? new Set();
		if (connections.size >= MAX_CONNECTIONS_PER_SLOT) return void client.resetAndDestroy();
		const connection: Connection = { client };
		this.#connections.set(slot, connections.add(connection));
		client.once("close", () => {
			connections.delete(connection);
			if (connections.size === 0 && this.#connections.get(slot) === connections) this.#connections.delete(slot);
		});
		try {
			await this.#carry(slot, connection, meant);
		} catch {
			cut(connection);
		}
	}

	/** @throws when the connection is not allowed or cannot be made */
	async #carry(slot: string, connection: Connection, meant: Meant): Promise<void> {
		const gone = new AbortController();
		connection.client.once("close", () => gone.abort());
		const grant = await this.#grant(slot, connection.client, meant, gone.signal);
		const socks = this.#policies.get(slot)?.socks;
		const find = (host: string) => this.#lookups.take(slot, () => this.#destinations.find(host));
		const addresses = await find("name" in grant ? grant.name : grant.address);
		const hops = socks === undefined ? addresses : await find(socks.host);
		const upstream = await connectVia(connection, { hops, addresses, port: grant.port, socks }, gone.signal);
		// The policy may have changed while the way was made.
		if (gone.signal.aborted || !this.#holds(slot, grant, keyOf(socks))) throw new Error("no longer allowed");
		Object.assign(connection, { grant, via: keyOf(socks) });
		relay(connection.client, upstream);
	}

	async #grant(slot: string, client: Socket, { port, address }: Meant, gone: AbortSignal): Promise<Grant> {
		if (address !== undefined && this.#holds(slot, { address, port }, keyOf(this.#policies.get(slot)?.socks)))
			return { address, port };
		const sniff = SNIFFERS[port];
		if (sniff === undefined) throw new Error("not allowed");
		const name = await readName(client, sniff, AbortSignal.any([gone, AbortSignal.timeout(NAME_TIMEOUT_MS)]));
		if (!matchesDomain(name, this.#policies.get(slot)?.domains ?? [])) throw new Error("not allowed");
		return { name, port };
	}

	#holds(slot: string, grant: Grant, via: string | undefined): boolean {
		const policy = this.#policies.get(slot);
		if (policy === undefined || keyOf(policy.socks) !== via) return false;
		if ("name" in grant) return matchesDomain(grant.name, policy.domains);
		return policy.allow.check(grant.address) || (policy.internet && !policy.deny.check(grant.address));
	}
}

/** Where a connection goes: to the first of its addresses through the proxy, or to one of them directly. */
interface Way {
	/** Addresses to connect to: the proxy's if there is one. */
	readonly hops: readonly string[];
	readonly addresses: readonly string[];
	readonly port: number;
	readonly socks: SocksProxy | undefined;
}

/** Connects to the first hop that answers. @throws when none does, or the client is gone */
async function connectVia(connection: Connection, { hops, addresses, port, socks }: Way, gone: AbortSignal): Promise<Socket> {
	let failure: unknown;
	for (const host of hops.slice(0, MAX_ADDRESSES_TRIED)) {
		gone.throwIfAborted();
		const upstream = connect({ host, port: socks?.port ?? port, family: 4, allowHalfOpen: true, noDelay: true });
		upstream.on("error", () => {});
		connection.upstream = upstream;
		const signal = AbortSignal.any([gone, AbortSignal.timeout(CONNECT_TIMEOUT_MS)]);
		try {
			await once(upstream, "connect", { signal });
			if (socks !== undefined) await socksConnect(upstream, socks, { address: addresses[0] ?? "", port }, signal);
			return upstream;
		} catch (error) {
			upstream.destroy();
			failure = error;
		}
	}
	throw failure;
}

async function listen(address: string, onClient: (client: Socket) => void): Promise<number> {
	const server: Server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false }, onClient);
	server.listen(0, address);
	await once(server, "listening");
	// After a good start only a passing fault of the host remains: no descriptor for a connection.
	server.on("error", () => {});
	const bound = server.address();
	if (bound === null || typeof bound === "string") throw new Error("the egress proxy has no port");
	return bound.port;
}

function readPolicy({ internet, allowCidrs, denyCidrs, allowDomains, egressProxy }: EgressPolicy): Policy {
	return {
		allow: blockListOf(allowCidrs),
		deny: blockListOf(denyCidrs),
		internet,
		domains: allowDomains ?? [],
		socks: egressProxy,
	};
}

/** Connections through one proxy do not outlive the change to another. */
function keyOf(socks: SocksProxy | undefined): string | undefined {
	return socks && JSON.stringify([socks.host, socks.port, socks.username, socks.password]);
}

/** Reads until the name is known, and puts what was read back. @throws when there is none */
async function readName(client: Socket, sniff: (bytes: Buffer) => Sniffed, signal: AbortSignal): Promise<string> {
	let bytes = Buffer.alloc(0);
	while (bytes.length < MAX_SNIFFED_BYTES) {
		const chunk: unknown = client.read();
		if (!Buffer.isBuffer(chunk)) {
			if (client.readableEnded || client.destroyed) break;
			await once(client, "readable", { signal });
			continue;
		}
		bytes = Buffer.concat([bytes, chunk]);
		const sniffed = sniff(bytes);
		if (sniffed === "none") break;
		if (sniffed === "more") continue;
		client.unshift(bytes);
		return sniffed.name;
	}
	throw new Error("the connection names no host");
}

function relay(client: Socket, upstream: Socket): void {
	for (const [from, to] of [
		[client, upstream],
		[upstream, client],
	] as const) {
		from.setKeepAlive(true, KEEP_ALIVE_MS);
		from.pipe(to);
		// A regular end has gone the way of the data already.
		from.once("close", (failed) => (failed ? to.resetAndDestroy() : to.destroySoon()));
	}
}

/** Ends with a reset: the client sees a failure, not a short answer. */
function cut({ client, upstream }: Connection): void {
	client.resetAndDestroy();
	upstream?.destroy();
}
