/** For tests only: a control that knows what the test told it, an open front door, and raw sockets. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { Admission, AdmissionRequest } from "../control/index.ts";
import type { EdgeControl } from "./admission.ts";
import { createEdge, type EdgeOptions } from "./edge.ts";
import { openFrontDoor } from "./front-door.ts";

type Proxy = Extract<Admission, { kind: "proxy" }>;
type GoneListener = Parameters<EdgeControl["onGone"]>[0];

export class FakeControl implements EdgeControl {
	readonly asked: AdmissionRequest[] = [];
	readonly #admissions = new Map<string, Admission>();
	readonly #listeners = new Set<GoneListener>();
	/** Awaited before each admission is given. */
	hold: Promise<unknown> = Promise.resolve();

	set(sandboxId: string, admission: Admission): void {
		this.#admissions.set(sandboxId, admission);
	}

	run(sandboxId: string, more: Partial<Proxy> = {}): void {
		this.set(sandboxId, {
			kind: "proxy",
			incarnation: 1,
			address: "127.0.0.1",
			trafficToken: undefined,
			accessToken: undefined,
			maskRequestHost: undefined,
			...more,
		});
	}

	/** As the real one does: the new state first, then the announcement. */
	kill(sandboxId: string, incarnation = 1): void {
		this.#admissions.delete(sandboxId);
		for (const listener of this.#listeners) listener({ sandboxId, incarnation });
	}

	async admit(request: AdmissionRequest): Promise<Admission> {
		this.asked.push(request);
		const admission = this.#admissions.get(request.sandboxId) ?? { kind: "not-found" };
		await this.hold;
		return admission;
	}

	*signedUrlCandidates(): Iterable<{ sandboxId: string; accessToken: string }> {
		for (const [sandboxId, admission] of this.#admissions) {
			if (admission.kind === "proxy" && admission.accessToken !== undefined) {
				yield { sandboxId, accessToken: admission.accessToken };
			}
		}
	}

	onGone(listener: GoneListener): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}
}

export interface OpenEdge extends AsyncDisposable {
	readonly control: FakeControl;
	readonly port: number;
	readonly url: string;
	readonly tlsUrl: string;
}

let certificate: { readonly key: Buffer; readonly cert: Buffer } | undefined;

const API: RequestListener = (_req, res) => res.writeHead(200, { "x-room": "api" }).end("api");

export async function openEdge(options: Partial<EdgeOptions> = {}, api: RequestListener = API): Promise<OpenEdge> {
	const control = new FakeControl();
	const edge = createEdge({ control, log: pino({ level: "silent" }), ...options });
	const ended = new AbortController();
	certificate ??= selfSigned();
	const tls = { key: certificate.key.toString(), cert: certificate.cert.toString(), port: 0 };
	const door = await openFrontDoor({ api, edge, bind: "127.0.0.1", port: 0, tls, signal: ended.signal });
	return {
		control,
		port: door.port,
		url: `http://127.0.0.1:${door.port}`,
		tlsUrl: `https://127.0.0.1:${door.tlsPort}`,
		[Symbol.asyncDispose]: () => door.close(),
	};
}

export interface FakeGuest extends AsyncDisposable {
	readonly server: Server;
	readonly port: number;
	readonly requests: IncomingMessage[];
}

/** A web server standing for a program in a sandbox. */
export async function openGuest(listener: RequestListener, address = "127.0.0.1", port = 0): Promise<FakeGuest> {
	const requests: IncomingMessage[] = [];
	const server = createServer((req, res) => {
		requests.push(req);
		listener(req, res);
	});
	await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, address, () => resolve()));
	return {
		server,
		requests,
		port: (server.address() as AddressInfo).port,
		async [Symbol.asyncDispose]() {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
		},
	};
}

/** A loopback address of this test's own, so that fixed guest ports never collide. */
export function ownAddress(): string {
	const part = () => 1 + Math.floor(Math.random() * 250);
	return `127.${part()}.${part()}.${part()}`;
}

export interface RawConnection {
	readonly socket: Socket;
	/** All that was received, so far. */
	received(): string;
	/** Resolves when the received text contains `text`. */
	until(text: string): Promise<void>;
	/** How the peer ended the connection. */
	readonly end: Promise<"fin" | "reset">;
}

/** A plain TCP connection that speaks only what the test writes. */
export function rawConnection(port: number): RawConnection {
	const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
	let text = "";
	const waiting: { text: string; resolve: () => void }[] = [];
	socket.on("data", (chunk) => {
		text += chunk.toString("latin1");
		for (const each of waiting) if (text.includes(each.text)) each.resolve();
	});
	const end = new Promise<"fin" | "reset">((resolve) => {
		socket.once("end", () => resolve("fin"));
		socket.once("error", () => resolve("reset"));
	});
	return {
		socket,
		received: () => text,
		until: (wanted) =>
			new Promise((resolve) => {
				if (text.includes(wanted)) resolve();
				else waiting.push({ text: wanted, resolve });
			}),
		end,
	};
}

/** Sends one raw request, returns everything that came until the connection ended. */
export async function rawRequest(port: number, ...lines: string[]): Promise<string> {
	const connection = rawConnection(port);
	connection.socket.write(`${lines.join("\r\n")}\r\n\r\n`);
	await connection.end;
	connection.socket.destroy();
	return connection.received();
}

/** Headers that address a sandbox on the shared host. */
export function routing(sandboxId: string, port: number): Record<string, string> {
	return { "E2b-Sandbox-Id": sandboxId, "E2b-Sandbox-Port": String(port) };
}

/** A TLS certificate that nobody vouches for. */
export function selfSigned(): { key: Buffer; cert: Buffer } {
	const directory = mkdtempSync(join(tmpdir(), "offshoot-tls-"));
	const [key, cert] = [join(directory, "key"), join(directory, "cert")];
	const subject = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=guest"];
	execFileSync("openssl", ["req", ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
	const pair = { key: readFileSync(key), cert: readFileSync(cert) };
	rmSync(directory, { recursive: true });
	return pair;
}
