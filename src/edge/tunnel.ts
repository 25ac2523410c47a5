/**
 * One upgraded connection (WebSocket or any other protocol): after the guest agreed, bytes are passed on both ways,
 * each direction ending by itself. A guest that declines has its ordinary answer passed on and the connection is
 * closed, so that no later request of this client can slip through unchecked.
 */
import { type ClientRequest, type IncomingMessage, request, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { offeredProtocols } from "../protocol/index.ts";
import { type Answer, portClosed, sendAnswer } from "./answers.ts";
import { IDLE_TIMEOUT_MS, type Plan } from "./asking.ts";
import { dropResponse } from "./client.ts";
import { dropSocket } from "./drop.ts";
import { fields } from "./fields.ts";
import type { Flow, Guest } from "./guests.ts";
import { responseHeaders, upgradeHeaders } from "./headers.ts";
import { relayResponse } from "./relay.ts";

/** A response on a connection that Node has handed over for an upgrade. The connection ends with it. */
export function responseOn(req: IncomingMessage, client: Duplex): ServerResponse {
	const res = new ServerResponse(req);
	res.shouldKeepAlive = false;
	res.assignSocket(client as Socket);
	res.on("error", () => {});
	res.once("finish", () => {
		res.detachSocket(client as Socket);
		dropSocket(client);
	});
	return res;
}

/** Asks the guest for an upgrade, on a connection of its own. @param abandoned aborted when nobody waits for it any more */
export function requestUpgrade(
	{ agent }: Guest,
	{ port, path }: Plan,
	method: string | undefined,
	headers: string[],
	abandoned: AbortSignal,
): ClientRequest {
	return request({
		createConnection: (_options, onCreate) => {
			agent.dial(port, abandoned).then(
				(socket) => onCreate(null, socket),
				(error: Error) => (onCreate as (error: Error) => void)(error),
			);
			return undefined;
		},
		method,
		path,
		headers,
	});
}

export class Tunnel implements Flow {
	readonly #req: IncomingMessage;
	readonly #client: Duplex;
	readonly #guest: Guest;
	readonly #plan: Plan;
	#upstream: ClientRequest | undefined;
	#res: ServerResponse | undefined;
	#remote: Socket | undefined;
	#settled = false;
	readonly #abandon = new AbortController();

	constructor(req: IncomingMessage, client: Duplex, guest: Guest, plan: Plan) {
		this.#req = req;
		this.#client = client;
		this.#guest = guest;
		this.#plan = plan;
	}

	/** @param head the first bytes after the client's request */
	start(head: Buffer): void {
		this.#guest.add(this);
		this.#client.once("close", () => this.#leave());
		const headers = upgradeHeaders(this.#req, this.#plan, offeredProtocols(this.#req.headers.upgrade));
		const upstream = requestUpgrade(this.#guest, this.#plan, this.#req.method, headers, this.#abandon.signal);
		this.#upstream = upstream;
		upstream.on("upgrade", (response, remote, first) => this.#onUpgrade(response, remote as Socket, first, head));
		upstream.on("response", (response) => this.#onDeclined(response));
		upstream.on("error", () => this.#onError());
		upstream.end();
	}

	end(answer: Answer): void {
		if (this.#settled) return;
		if (this.#remote === undefined && this.#res === undefined) this.#answer(answer);
		else this.#cut();
	}

	#onUpgrade(response: IncomingMessage, remote: Socket, first: Buffer, head: Buffer): void {
		remote.on("error", () => {});
		if (this.#settled) {
			remote.destroy();
			return;
		}
		this.#remote = remote;
		remote.setNoDelay(true);
		remote.once("close", () => this.#cut());
		this.#client.write(upgradeHead(response), "latin1");
		if (first.length > 0) this.#client.write(first);
		if (head.length > 0) remote.write(head);
		remote.pipe(this.#client);
		this.#client.pipe(remote);
		if ("setTimeout" in this.#client) (this.#client as Socket).setTimeout(IDLE_TIMEOUT_MS, () => this.#cut());
	}

	#onDeclined(response: IncomingMessage): void {
		if (this.#settled) return;
		const res = responseOn(this.#req, this.#client);
		this.#res = res;
		response.on("error", () => {});
		response.once("close", () => {
			if (!response.complete) this.#cut();
		});
		try {
			relayResponse(response, res);
		} catch {
			this.#cut();
		}
	}

	#onError(): void {
		if (this.#settled) return;
		if (this.#remote !== undefined || this.#res !== undefined) this.#cut();
		else this.#answer(portClosed(this.#plan.sandboxId, this.#plan.port));
	}

	#answer(answer: Answer): void {
		this.#settled = true;
		this.#abandon.abort();
		this.#upstream?.destroy();
		sendAnswer(this.#req, responseOn(this.#req, this.#client), answer);
	}

	#cut(): void {
		if (this.#settled) return;
		this.#settled = true;
		this.#remote?.unpipe(this.#client);
		this.#client.unpipe();
		this.#abandon.abort();
		this.#upstream?.destroy();
		this.#remote?.destroy();
		if (this.#res === undefined) dropSocket(this.#client);
		else dropResponse(this.#req, this.#res);
	}

	#leave(): void {
		this.#settled = true;
		this.#guest.remove(this);
		this.#abandon.abort();
		this.#upstream?.destroy();
		this.#remote?.destroy();
	}
}

function upgradeHead(response: IncomingMessage): string {
	const lines = [`HTTP/1.1 ${response.statusCode ?? 101} ${response.statusMessage ?? ""}`];
	for (const [name, value] of fields(responseHeaders(response))) lines.push(`${name}: ${value}`);
	lines.push("Connection: Upgrade", `Upgrade: ${response.headers.upgrade ?? ""}`, "", "");
	return lines.join("\r\n");
}
