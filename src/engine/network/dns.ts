/**
 * Answers the guests' DNS queries by passing them to whatever resolver the host uses at that moment. nft leads the
 * queries here from every slot's gateway address; nobody else can send to this listener, and queries whose source is
 * not a slot are ignored in any case. Names may resolve to private addresses: egress rules close those.
 *
 * Bounded: so many queries in flight, so many TCP connections, and none of them for long. Over that a query is dropped,
 * which resolvers answer with a retry. (The rate of one guest is bounded in nft.)
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { BlockList, connect, createServer, isIPv6, type Server, type Socket } from "node:net";
import { parseCidr } from "./cidr.ts";
import { resolvers } from "./resolv-conf.ts";
import type { DnsListener } from "./rules.ts";

const MAX_QUERIES = 1024;
const MAX_CONNECTIONS = 256;
/** Time for one upstream resolver to answer before the next one is asked too, ms. */
const UPSTREAM_PATIENCE_MS = 1500;
const QUERY_TIMEOUT_MS = 6000;
const TCP_IDLE_MS = 10_000;
const DNS_PORT = 53;
/** Ports tried until one is free for both protocols. */
const MAX_ATTEMPTS = 5;
const HEADER_BYTES = 12;

export class DnsForwarder {
	readonly #udp: UdpSocket;
	readonly #tcp: Server;
	readonly #slots = new BlockList();
	readonly #stop = new AbortController();
	readonly #queries = new Set<UdpSocket>();
	readonly #connections = new Set<Socket>();

	private constructor(addressRange: string) {
		const [network = ""] = addressRange.split("/");
		this.#slots.addSubnet(network, parseCidr(addressRange).prefix, "ipv4");
		this.#udp = createSocket("udp4", (query, client) => void this.#forwardDatagram(query, client));
		this.#tcp = createServer((client) => void this.#forwardStream(client));
		this.#tcp.maxConnections = MAX_CONNECTIONS;
	}

	/**
	 * Listens at `address`, which must be on this host already, on a free port, the same for UDP and TCP: the egress proxy's
	 * resolver knows one only. Queries come from `addressRange` only.
	 */
	static async start(address: string, addressRange: string, signal: AbortSignal): Promise<[DnsForwarder, DnsListener]> {
		for (let attempt = 1; ; attempt++) {
			const forwarder = new DnsForwarder(addressRange);
			try {
				return [forwarder, await forwarder.#listen(address, signal)];
			} catch (error) {
				forwarder.close();
				const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
				if (!taken || attempt === MAX_ATTEMPTS) throw error;
			}
		}
	}

	async #listen(address: string, signal: AbortSignal): Promise<DnsListener> {
		this.#udp.bind(0, address);
		await once(this.#udp, "listening", { signal });
		const { port } = this.#udp.address();
		this.#tcp.listen(port, address);
		await once(this.#tcp, "listening", { signal });
		// After a good start only a passing fault of the host remains (no memory for a datagram): the next query may work.
		this.#udp.on("error", () => {});
		this.#tcp.on("error", () => {});
		return { address, port };
	}

	close(): void {
		this.#stop.abort();
		for (const socket of this.#connections) socket.destroy();
		this.#udp.close();
		this.#tcp.close();
	}

	async #forwardDatagram(query: Buffer, client: RemoteInfo): Promise<void> {
		if (query.length < HEADER_BYTES || this.#queries.size >= MAX_QUERIES || !this.#slots.check(client.address)) return;
		const stop = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(QUERY_TIMEOUT_MS)]);
		for (const upstream of await resolvers()) {
			if (stop.aborted) return;
			const answer = await this.#ask(upstream, query, AbortSignal.any([stop, AbortSignal.timeout(UPSTREAM_PATIENCE_MS)]));
			if (this.#stop.signal.aborted) return;
			if (answer !== undefined) return this.#udp.send(answer, client.port, client.address);
		}
	}

	/** One query to one resolver, from a port of its own so that answers are hard to forge. Undefined: no answer came. */
	#ask(upstream: string, query: Buffer, signal: AbortSignal): Promise<Buffer | undefined> {
		const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
		const socket = createSocket(isIPv6(upstream) ? "udp6" : "udp4");
		this.#queries.add(socket);
		const finish = (answer: Buffer | undefined) => {
			if (this.#queries.delete(socket)) socket.close();
			resolve(answer);
		};
		signal.addEventListener("abort", () => finish(undefined), { once: true });
		socket.on("error", () => finish(undefined));
		socket.on("message", (answer) => {
			if (answer.length >= HEADER_BYTES && answer.readUInt16BE(0) === query.readUInt16BE(0)) finish(answer);
		});
		// The time may be over before the socket is connected; a closed one cannot send.
		socket.connect(DNS_PORT, upstream, (error?: Error) => {
			if (error !== undefined && error !== null) return finish(undefined);
			if (this.#queries.has(socket)) socket.send(query);
		});
		return promise;
	}

	async #forwardStream(client: Socket): Promise<void> {
		this.#keep(client);
		if (client.remoteAddress === undefined || !this.#slots.check(client.remoteAddress)) return void client.destroy();
		const [upstream] = await resolvers();
		if (upstream === undefined || client.destroyed) return void client.destroy();
		const server = connect(DNS_PORT, upstream);
		this.#keep(server);
		client.pipe(server).pipe(client);
		client.on("close", () => server.destroy());
		server.on("close", () => client.destroy());
	}

	#keep(socket: Socket): void {
		this.#connections.add(socket);
		socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
		// The close that follows ends both sides.
		socket.on("error", () => {});
		socket.on("close", () => this.#connections.delete(socket));
	}
}
