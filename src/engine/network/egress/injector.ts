/**
 * Carries HTTP/1.1 requests to one host with header fields added. Guarantees: a request that names another host than
 * its connection does is not carried, so no field reaches a host that it is not for; what the guest sends in a field of
 * the same name is replaced; nothing is buffered.
 */
import { Agent, type ClientRequest, createServer, type IncomingMessage, request, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { IDEMPOTENT_METHODS, offeredProtocols } from "../../../protocol/index.ts";
import { normalizeHostName } from "./domains.ts";
import { passedOn, withHeaders } from "./header-rules.ts";

export interface Lane {
	/** Of the host, in lower case. */
	readonly name: string;
	readonly headers: Readonly<Record<string, string>>;
	/** Connects to the host, with TLS where that is spoken. */
	connect(): Promise<Socket>;
}

/** Requests of one connection that may wait for their answers; clients that pipeline at all send a few. */
const MAX_WAITING = 32;
const MAX_HEADER_BYTES = 64 * 1024;
/** Asks a host to repeat the request with all its fields (RFC 9110 §9.3.8). */
const ECHO = "TRACE";
const SWITCHING = 101;
const UNASKED = "switched to a protocol that nobody had asked for";
/** Silence in both directions, as long as towards sandboxes. */
const IDLE_TIMEOUT_MS = 610_000;
/** For the head of a request, since the answer before it: one that trickles in would keep up to 64 KB here for hours. */
const HEAD_TIMEOUT_MS = 60_000;
/** Silence on an idle connection of a guest. */
const KEEP_ALIVE_MS = 60_000;
/** Shorter than the idle limit of common servers. */
const POOLED_IDLE_MS = 3_000;

/** Connections to the host of one lane, kept for the next request. */
class LaneAgent extends Agent {
	readonly #lane: Lane;

	constructor(lane: Lane) {
		super({ keepAlive: true });
		this.#lane = lane;
	}

	override createConnection(_options: object, onCreate?: (error: Error | null, stream: Duplex) => void): undefined {
		this.#lane.connect().then(
			(socket) => onCreate?.(null, socket),
			(error: Error) => (onCreate as ((error: Error) => void) | undefined)?.(error),
		);
	}

	override keepSocketAlive(stream: Duplex): boolean {
		(stream as Socket).setTimeout(POOLED_IDLE_MS);
		return true;
	}

	override reuseSocket(stream: Duplex, outgoing: ClientRequest): void {
		(stream as Socket).setTimeout(0);
		super.reuseSocket(stream, outgoing);
	}
}

interface Taken {
	readonly lane: Lane;
	readonly agent: LaneAgent;
	/** Requests without their whole answer. */
	waiting: number;
	/** Ends the connection when no request has come by then. */
	headTimer: NodeJS.Timeout;
	/** Resolves when the last of them has it: one is carried at a time, so one connection to the host is enough. */
	answered: Promise<void>;
}

export class Injector {
	readonly #lanes = new WeakMap<object, Taken>();
	readonly #headTimeoutMs: number;
	readonly #server = createServer({
		maxHeaderSize: MAX_HEADER_BYTES,
		keepAliveTimeout: KEEP_ALIVE_MS,
		requestTimeout: 0,
		shouldUpgradeCallback: ({ headers }) => offeredProtocols(headers.upgrade) !== "",
	});

	constructor(headTimeoutMs = HEAD_TIMEOUT_MS) {
		this.#headTimeoutMs = headTimeoutMs;
		// The only limit that Node keeps for a server that does not listen itself.
		this.#server.setTimeout(IDLE_TIMEOUT_MS);
		this.#server.on("request", (req, res) => this.#carry(req, res));
		this.#server.on("checkContinue", (req: IncomingMessage, res: ServerResponse) => {
			res.writeContinue();
			this.#carry(req, res);
		});
		this.#server.on("upgrade", (req, socket, head) => this.#upgrade(req, socket, head));
	}

	/** Takes over a guest's connection, whose requests are to go this lane. It ends with the connection. */
	take(socket: Socket, lane: Lane): void {
		const agent = new LaneAgent(lane);
		const taken = { lane, agent, waiting: 0, answered: Promise.resolve(), headTimer: this.#headTimer(socket) };
		this.#lanes.set(socket, taken);
		socket.once("close", () => {
			clearTimeout(taken.headTimer);
			agent.destroy();
		});
		this.#server.emit("connection", socket);
	}

	#headTimer(socket: Socket): NodeJS.Timeout {
		return setTimeout(() => socket.destroy(), this.#headTimeoutMs).unref();
	}

	#carry(req: IncomingMessage, res: ServerResponse): void {
		const taken = this.#lanes.get(req.socket);
		clearTimeout(taken?.headTimer);
		const path = taken && pathOf(req, taken.lane.name);
		res.on("error", () => {});
		req.on("error", () => {});
		if (taken === undefined || path === undefined) {
			refuse(req, res, 421, "This connection is for another host");
			return;
		}
		if (req.method === ECHO) {
			refuse(req, res, 405, "What is added for this host is not for this client to see");
			return;
		}
		if (++taken.waiting > MAX_WAITING) req.socket.destroy();
		const before = taken.answered;
		const { promise, resolve } = Promise.withResolvers<void>();
		taken.answered = promise;
		res.once("close", () => {
			taken.waiting--;
			if (taken.waiting === 0 && !req.socket.destroyed) taken.headTimer = this.#headTimer(req.socket);
			resolve();
		});
		void before.then(() => {
			if (!req.socket.destroyed) this.#trySend(req, res, taken, path);
		});
	}

	#trySend(req: IncomingMessage, res: ServerResponse, taken: Taken, path: string): void {
		try {
			this.#send(req, res, taken, path);
		} catch {
			// Node refuses to send some request targets that it accepts.
			refuse(req, res, 400, "This request cannot be passed on");
		}
	}

	/** @throws when Node cannot send such a request */
	#send(req: IncomingMessage, res: ServerResponse, taken: Taken, path: string): void {
		const { lane, agent } = taken;
		const headers = headersFor(req, lane);
		const body = hasBody(req);
		if (body && (req.headers["content-length"] === undefined || req.headers["transfer-encoding"] !== undefined))
			headers.push("Transfer-Encoding", "chunked");
		const outgoing = request({ agent, method: req.method, path, headers });
		res.once("close", () => outgoing.destroy());
		// One thing comes of it: after a refusal there may still be an error, and a close follows everything.
		let outcome: "relayed" | "refused" | "repeated" | undefined;
		const fail = (text: string) => {
			if (outcome === undefined) refuse(req, res, 502, `${lane.name} ${text}`);
			outcome ??= "refused";
			outgoing.destroy();
		};
		outgoing.on("response", (response) => {
			if (response.statusCode === SWITCHING) return fail(UNASKED);
			outcome = "relayed";
			relayResponse(response, res);
		});
		// Without a listener Node closes the connection and says neither that there is an answer nor that there is none.
		outgoing.on("upgrade", (_response, remote) => {
			remote.destroy();
			fail(UNASKED);
		});
		outgoing.on("error", (error) => {
			const repeatable = outgoing.reusedSocket && !body && IDEMPOTENT_METHODS.has(req.method ?? "");
			if (outcome === "relayed") res.destroy();
			else if (outcome !== undefined || res.destroyed || !repeatable) fail(`could not be reached: ${reasonOf(error)}`);
			else {
				// Most likely the host closed it just as it was used again; if not, asking twice does no harm.
				outcome = "repeated";
				this.#trySend(req, res, taken, path);
			}
		});
		outgoing.once("close", () => fail("gave no answer"));
		if (body) req.pipe(outgoing);
		else outgoing.end();
	}

	/** A WebSocket, or any other protocol: its opening request gets the fields too. */
	#upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
		const taken = this.#lanes.get(req.socket);
		const path = taken && pathOf(req, taken.lane.name);
		clearTimeout(taken?.headTimer);
		socket.on("error", () => socket.destroy());
		if (taken === undefined || path === undefined || taken.waiting > 0) {
			socket.destroy();
			return;
		}
		try {
			this.#sendUpgrade(req, socket, head, taken, path);
		} catch {
			socket.destroy();
		}
	}

	/** @throws when Node cannot send such a request */
	#sendUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer, { lane, agent }: Taken, path: string): void {
		const protocols = offeredProtocols(req.headers.upgrade);
		const headers = [...headersFor(req, lane), "Connection", "Upgrade", "Upgrade", protocols];
		const outgoing = request({ agent, method: req.method, path, headers });
		socket.once("close", () => outgoing.destroy());
		let decided = false;
		outgoing.on("error", () => socket.destroy());
		outgoing.once("close", () => {
			if (!decided) socket.destroy();
		});
		outgoing.on("upgrade", (response, remote, first) => {
			decided = true;
			remote.on("error", () => remote.destroy());
			remote.once("close", () => socket.destroy());
			socket.once("close", () => remote.destroy());
			socket.write(upgradeHead(response), "latin1");
			socket.write(first);
			remote.write(head);
			socket.pipe(remote).pipe(socket);
		});
		outgoing.on("response", (response) => {
			// It says to switch, but not to what.
			if (response.statusCode === SWITCHING) return void socket.destroy();
			decided = true;
			const res = new ServerResponse(req);
			res.shouldKeepAlive = false;
			res.assignSocket(socket as Socket);
			res.once("finish", () => socket.end());
			relayResponse(response, res);
		});
		outgoing.end();
	}
}

/** Path and query of a request; undefined when it is for another host. */
function pathOf({ url = "", headers, rawHeaders }: IncomingMessage, name: string): string | undefined {
	const hosts = rawHeaders.filter((field, index) => index % 2 === 0 && field.toLowerCase() === "host");
	if (hosts.length !== 1 || hostIn(headers.host) !== name) return undefined;
	if (url.startsWith("/") || url === "*") return url;
	const [, authority, path = ""] = /^https?:\/\/([^/?#]+)(.*)$/i.exec(url) ?? [];
	if (hostIn(authority) !== name) return undefined;
	return path.startsWith("/") ? path : `/${path}`;
}

/** The host is restated: a server may take another way of writing it for another of its sites. */
function headersFor({ headers: { host = "" }, rawHeaders }: IncomingMessage, lane: Lane): string[] {
	const port = /:\d+$/.exec(host)?.[0] ?? "";
	return withHeaders(rawHeaders, { Host: lane.name + port, ...lane.headers });
}

function hostIn(authority: string | undefined): string | undefined {
	return authority === undefined ? undefined : normalizeHostName(authority.replace(/:\d{1,5}$/, ""));
}

function hasBody({ headers }: IncomingMessage): boolean {
	return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function relayResponse(from: IncomingMessage, to: ServerResponse): void {
	from.on("error", () => {});
	from.once("close", () => {
		if (!from.complete) to.destroy();
	});
	try {
		to.sendDate = false;
		to.writeHead(from.statusCode ?? 502, from.statusMessage ?? "", passedOn(from.rawHeaders));
		to.flushHeaders();
		from.pipe(to);
	} catch {
		to.destroy();
	}
}

function upgradeHead(response: IncomingMessage): string {
	const lines = [`HTTP/1.1 ${response.statusCode ?? 101} ${response.statusMessage ?? ""}`];
	const flat = passedOn(response.rawHeaders);
	for (let index = 0; index + 1 < flat.length; index += 2) lines.push(`${flat[index]}: ${flat[index + 1]}`);
	lines.push("Connection: Upgrade", `Upgrade: ${response.headers.upgrade ?? ""}`, "", "");
	return lines.join("\r\n");
}

function refuse(req: IncomingMessage, res: ServerResponse, status: number, text: string): void {
	if (res.destroyed) return;
	res.writeHead(status, { "content-type": "text/plain; charset=utf-8", connection: "close" }).end(`${text}\n`);
	req.resume();
}

/** By its code: texts of errors may quote what was sent. */
function reasonOf(error: Error): string {
	return "code" in error ? String(error.code) : "no connection";
}
