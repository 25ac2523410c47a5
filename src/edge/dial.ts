/**
 * TCP connections to guests. A guest stands still while it is captured, so nothing here gives up quickly, and TCP
 * keep-alive stays off: its probes would declare a connection dead that only stalls.
 */
import { Agent, type AgentOptions } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { dialLoopback } from "./loopback.ts";
import { WAITING_BYTES } from "./waiting.ts";

/** A program in the guest often opens its port a moment after the client was told about it. Pauses between tries, ms. */
const BACK_OFF_MS = [100, 200, 300, 400];
const CONNECT_TIMEOUT_MS = 60_000;
/** Shorter than the idle limit of common servers, so that a request seldom meets a connection that is just being closed. */
const POOLED_IDLE_MS = 1_500;
const NOT_LISTENING = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"]);

export interface GuestEndpoint {
	readonly host: string;
	readonly port: number;
	/** Speak TLS. The certificate is not checked: nobody could have signed one for an address inside of a sandbox. */
	readonly tls?: boolean;
	/** Keep our half open when the guest ends its own: for tunnels, where each half ends by itself. */
	readonly allowHalfOpen?: boolean;
}

/**
 * Connects to a port of a guest, on its network interface or else on its loopback interface; tries again while nothing
 * listens on either.
 * @throws the last connection error, or the reason of `signal`
 */
async function dialGuest(endpoint: GuestEndpoint, signal: AbortSignal): Promise<Socket> {
	for (const pause of BACK_OFF_MS) {
		try {
			return await dialEither(endpoint, signal);
		} catch (error) {
			if (!isNotListening(error)) throw error;
		}
		await sleep(pause, undefined, { signal });
	}
	return dialEither(endpoint, signal);
}

async function dialEither(endpoint: GuestEndpoint, signal: AbortSignal): Promise<Socket> {
	try {
		return await dialOnce(endpoint, signal);
	} catch (error) {
		if (!isNotListening(error)) throw error;
		const plain = await dialLoopback(endpoint, signal);
		if (plain === undefined) throw error;
		return endpoint.tls === true ? secured(plain, signal) : plain;
	}
}

function isNotListening(error: unknown): boolean {
	return error instanceof Error && "code" in error && NOT_LISTENING.has(String(error.code));
}

function dialOnce({ tls = false, ...endpoint }: GuestEndpoint, signal: AbortSignal): Promise<Socket> {
	const options = { ...endpoint, noDelay: true, highWaterMark: WAITING_BYTES };
	if (tls) return opened(signal, () => connectTls({ ...options, rejectUnauthorized: false }), "secureConnect");
	return opened(signal, () => connect(options), "connect");
}

function secured(socket: Socket, signal: AbortSignal): Promise<Socket> {
	const options = { socket, rejectUnauthorized: false, highWaterMark: WAITING_BYTES };
	return opened(signal, () => connectTls(options), "secureConnect");
}

function opened(signal: AbortSignal, open: () => Socket, ready: "connect" | "secureConnect"): Promise<Socket> {
	return new Promise((resolve, reject) => {
		signal.throwIfAborted();
		const socket = open();
		const abort = () => socket.destroy(new Error("the connection attempt was given up", { cause: signal.reason }));
		const settle = () => {
			signal.removeEventListener("abort", abort);
			socket.off("timeout", expire).setTimeout(0);
		};
		const expire = () => socket.destroy(new Error("the guest did not accept a connection in time"));
		signal.addEventListener("abort", abort, { once: true });
		socket.setTimeout(CONNECT_TIMEOUT_MS).once("timeout", expire);
		// Stays for good: an error between this and the next owner's listener must not end the process.
		socket.on("error", (error) => {
			settle();
			reject(error);
		});
		socket.once(ready, () => {
			settle();
			resolve(socket);
		});
	});
}

/** What a request says of the connection that it needs. Node passes fields on that it does not know. */
export interface DialOptions {
	readonly port?: number | string | null;
	/** Aborted when nobody waits for it any more: a guest that never answers would hold a descriptor of the host for each who left. */
	readonly abandoned?: AbortSignal;
}

/** Pool of idle connections to one incarnation of a sandbox. `destroy` ends all of them and every dial under way. */
export class GuestAgent extends Agent {
	readonly #address: string;
	readonly #httpsPorts: ReadonlySet<number>;
	readonly #ended = new AbortController();

	/** @param httpsPorts ports on which the guest speaks TLS */
	constructor(address: string, httpsPorts: readonly number[]) {
		const options: AgentOptions = { keepAlive: true, maxFreeSockets: 64, scheduling: "lifo" };
		super(options);
		this.#address = address;
		this.#httpsPorts = new Set(httpsPorts);
	}

	/** Dials a connection that is not pooled. @param abandoned aborted when nobody waits for it any more */
	dial(port: number, abandoned: AbortSignal): Promise<Socket> {
		return dialGuest({ ...this.#endpoint(port), allowHalfOpen: true }, AbortSignal.any([this.#ended.signal, abandoned]));
	}

	override createConnection(
		{ port, abandoned }: DialOptions,
		onCreate?: (error: Error | null, stream: Duplex) => void,
	): undefined {
		const signal = abandoned === undefined ? this.#ended.signal : AbortSignal.any([this.#ended.signal, abandoned]);
		dialGuest(this.#endpoint(Number(port)), signal).then(
			(socket) => onCreate?.(null, socket),
			(error: Error) => (onCreate as ((error: Error) => void) | undefined)?.(error),
		);
	}

	override keepSocketAlive(stream: Duplex): boolean {
		const socket = stream as Socket;
		socket.setTimeout(POOLED_IDLE_MS);
		socket.unref();
		return true;
	}

	override reuseSocket(stream: Duplex, request: Parameters<Agent["reuseSocket"]>[1]): void {
		(stream as Socket).setTimeout(0);
		super.reuseSocket(stream, request);
	}

	override destroy(): void {
		this.#ended.abort(new Error("the sandbox is gone"));
		super.destroy();
	}

	#endpoint(port: number): GuestEndpoint {
		return { host: this.#address, port, tls: this.#httpsPorts.has(port) };
	}
}
