/**
 * Carries the connections of guests whose policy names domains, a SOCKS proxy or header rules. nft leads them here; who
 * asks is known by the slot's address, which no guest can forge. Guarantees: a connection is made only to an address that
 * was checked right before, never to a closed one, and ends when its slot's policy no longer allows it.
 *
 * A name is what the client's first bytes say, and stands for the whole connection. It is resolved here: the address
 * that the guest had in mind may be anybody's, under an allowed name.
 *
 * A name with a header rule is carried request by request: to an address of that name alone, and over TLS only to a
 * server that proves to be it, since what the rule adds is mostly a secret.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Turns } from "../../host/turns.ts";
import type { EgressPolicy, HeaderRule, SocksProxy } from "../types.ts";
import type { Certificates } from "./certificates.ts";
import type { Destinations } from "./destinations.ts";
import { matchesDomain } from "./domains.ts";
import { ruleFor } from "./header-rules.ts";
import { Injector } from "./injector.ts";
import type { OriginalDestination } from "./original-destination.ts";
import { Places } from "./places.ts";
import { keyOf, type Policy, reaches, readPolicy } from "./policy.ts";
import { readName } from "./read-name.ts";
import { type Sniffing, sniffHttp, sniffTls } from "./sniff.ts";
import { socksConnect } from "./socks.ts";
import { answering, secured } from "./tls.ts";

/** Open connections of one slot, so that one guest cannot take all the descriptors. */
const MAX_CONNECTIONS_PER_SLOT = 1024;
/**
 * Of these, the ones whose client has not yet said a name: they cost memory and work, and lead nowhere so far. Clients
 * that connect a hundred times at once are common, and each of those says its name a moment later.
 */
const MAX_NAMELESS_PER_SLOT = 256;
/** Time for a client to say what it wants, and for the way there to be made, ms. */
const NAME_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_MS = 10_000;
const MAX_ADDRESSES_TRIED = 3;
/** A client of an open address may leave the first word to the server. */
const SILENT_CLIENT_MS = 3_000;
/** Names of one slot that are looked up at a time: the host's resolver is everybody's. */
const MAX_LOOKUPS_PER_SLOT = 16;
const KEEP_ALIVE_MS = 60_000;

const HTTP_PORT = 80;
const TLS_PORT = 443;
const SNIFFERS: Readonly<Record<number, () => Sniffing>> = { [HTTP_PORT]: sniffHttp, [TLS_PORT]: sniffTls };

/** Why a connection is allowed. One with a header rule ends when anything changes. */
type Grant = NameGrant | RuleGrant | { readonly address: string; readonly port: number };
interface NameGrant {
	readonly name: string;
	readonly port: number;
}
interface RuleGrant extends NameGrant {
	readonly rule: HeaderRule;
	readonly policy: Policy;
}

/** What it takes to answer for a host inside TLS, and to believe it. */
export interface TlsTrust {
	readonly certificates: Certificates;
	/** Authorities that servers are checked by, PEM; undefined for Node's own. */
	readonly ca: string | undefined;
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
	readonly #nameless = new Places(MAX_NAMELESS_PER_SLOT);
	readonly #injector = new Injector();
	readonly #trust: TlsTrust;

	constructor(destinations: Destinations, trust: TlsTrust) {
		this.#destinations = destinations;
		this.#trust = trust;
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
			// One that is still on its way is asked about again, but must not wait in front of the slot's next user.
			const lost = connection.grant !== undefined && !this.#holds(slot, connection.grant, connection.via);
			if (policy === undefined || lost) cut(connection);
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
		if ("rule" in grant) return this.#inject(slot, connection, grant, gone.signal);
		const socks = this.#policies.get(slot)?.socks;
		const addresses = await this.#find(slot, "name" in grant ? grant.name : grant.address, gone.signal);
		const hops = socks === undefined ? addresses : await this.#find(slot, socks.host, gone.signal);
		const upstream = await connectVia(connection, { hops, addresses, port: grant.port, socks }, gone.signal);
		// The policy may have changed while the way was made.
		if (gone.signal.aborted || !this.#holds(slot, grant, keyOf(socks))) throw new Error("no longer allowed");
		Object.assign(connection, { grant, via: keyOf(socks) });
		relay(connection.client, upstream);
	}

	#find(slot: string, host: string, gone: AbortSignal): Promise<readonly string[]> {
		return this.#lookups.take(slot, gone, () => this.#destinations.find(host));
	}

	/** @throws when the connection is not allowed, or too many others have not said their name yet */
	async #grant(slot: string, client: Socket, { port, address }: Meant, gone: AbortSignal): Promise<Grant> {
		const before = this.#policies.get(slot);
		const open =
			address !== undefined && this.#holds(slot, { address, port }, keyOf(before?.socks)) ? { address, port } : undefined;
		const sniff = SNIFFERS[port];
		if (open && (sniff === undefined || before?.rules.length === 0)) return open;
		if (sniff === undefined) throw new Error("not allowed");
		const limit = AbortSignal.timeout(open ? SILENT_CLIENT_MS : NAME_TIMEOUT_MS);
		const signal = AbortSignal.any([gone, limit]);
		const name = await this.#nameless.hold(slot, () => readName(client, sniff, signal));
		// It may have changed while the client thought.
		const policy = this.#policies.get(slot);
		if (policy === undefined) throw new Error("not allowed");
		const rule = name === undefined ? undefined : ruleFor(name, policy.rules);
		if (name !== undefined && rule !== undefined) return { name, port, rule, policy };
		if (open && !gone.aborted) return open;
		if (name === undefined || !matchesDomain(name, policy.domains)) throw new Error("not allowed");
		return { name, port };
	}

	/** Hands the connection to the injector. @throws when the host may not be reached */
	async #inject(slot: string, connection: Connection, grant: RuleGrant, gone: AbortSignal): Promise<void> {
		const { client } = connection;
		const { name, port, rule, policy } = grant;
		// Before anything is answered in its name.
		await this.#addressesFor(slot, grant, gone);
		const lane = { name, headers: rule.headers, connect: () => this.#connectFor(slot, grant, gone) };
		const context = port === TLS_PORT ? await this.#trust.certificates.contextFor(name, slot, gone) : undefined;
		if (gone.aborted || this.#policies.get(slot) !== policy) throw new Error("no longer allowed");
		Object.assign(connection, { grant, via: keyOf(policy.socks) });
		client.setKeepAlive(true, KEEP_ALIVE_MS);
		this.#injector.take(context === undefined ? client : answering(client, context), lane);
	}

	/** Addresses of a name that a rule is for: rules open nothing. @throws when the policy allows none */
	async #addressesFor(slot: string, { name, policy }: RuleGrant, gone: AbortSignal): Promise<readonly string[]> {
		const found = await this.#find(slot, name, gone);
		const allowed = matchesDomain(name, policy.domains) ? found : found.filter((address) => reaches(policy, address));
		if (allowed.length === 0) throw new Error("not allowed");
		return allowed;
	}

	async #connectFor(slot: string, grant: RuleGrant, gone: AbortSignal): Promise<Socket> {
		const { name, port, policy } = grant;
		const addresses = await this.#addressesFor(slot, grant, gone);
		const { socks } = policy;
		const hops = socks === undefined ? addresses : await this.#find(slot, socks.host, gone);
		const upstream = await connectVia({}, { hops, addresses, port, socks }, gone);
		upstream.allowHalfOpen = false;
		upstream.setKeepAlive(true, KEEP_ALIVE_MS);
		const end = () => upstream.destroy();
		gone.addEventListener("abort", end, { once: true });
		upstream.once("close", () => gone.removeEventListener("abort", end));
		if (gone.aborted || this.#policies.get(slot) !== policy) {
			upstream.destroy();
			throw new Error("no longer allowed");
		}
		return port === TLS_PORT ? secured(upstream, name, this.#trust.ca) : upstream;
	}

	#holds(slot: string, grant: Grant, via: string | undefined): boolean {
		const policy = this.#policies.get(slot);
		if (policy === undefined || keyOf(policy.socks) !== via) return false;
		if ("rule" in grant) return policy === grant.policy;
		if ("name" in grant) return matchesDomain(grant.name, policy.domains) && ruleFor(grant.name, policy.rules) === undefined;
		return reaches(policy, grant.address);
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
async function connectVia(
	connection: Pick<Connection, "upstream">,
	{ hops, addresses, port, socks }: Way,
	gone: AbortSignal,
): Promise<Socket> {
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
