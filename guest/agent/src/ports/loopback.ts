/**
 * Lets the host reach servers that listen on the loopback interface only, as programs in development do: it asks with
 * CONNECT, once its own attempt was refused. Nothing listens or watches for that, so an idle sandbox pays nothing and a
 * snapshot holds nothing of it. Nobody in the sandbox gains anything: the loopback interface is theirs already.
 */
import type { IncomingMessage, Server } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { AGENT_PORT, CONTROL_PORT, INTERPRETER_NOTICE_PORT, LOOPBACK_HOST } from "../../../../src/protocol/index.ts";

/** They are on loopback, or closed, so that nobody outside reaches them. */
const OWN_PORTS: ReadonlySet<number> = new Set([AGENT_PORT, CONTROL_PORT, INTERPRETER_NOTICE_PORT]);

/** A server that was told `localhost` may have taken either. */
const ADDRESSES = ["127.0.0.1", "::1"];

const TARGET = new RegExp(`^${LOOPBACK_HOST}:([1-9]\\d{0,4})$`);

/** @param mayAsk who may; everyone else is refused */
export function relayLoopback(server: Server, mayAsk: (request: IncomingMessage) => boolean): void {
	server.on("connect", (request: IncomingMessage, client: Duplex, head: Buffer) => {
		client.on("error", () => client.destroy());
		const port = Number(TARGET.exec(request.url ?? "")?.[1] ?? 0);
		if (port === 0 || OWN_PORTS.has(port)) return refuse(client, "403 Forbidden");
		if (!mayAsk(request)) return refuse(client, "503 Service Unavailable");
		dial(port).then(
			(target) => join(client, target, head),
			() => refuse(client, "502 Bad Gateway"),
		);
	});
}

function refuse(client: Duplex, status: string): void {
	client.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
}

/** @throws the last connection error */
async function dial(port: number): Promise<Socket> {
	let failure: unknown;
	for (const host of ADDRESSES) {
		try {
			return await dialOne(host, port);
		} catch (error) {
			failure = error;
		}
	}
	throw failure;
}

function dialOne(host: string, port: number): Promise<Socket> {
	return new Promise((resolve, reject) => {
		const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
		socket.once("error", reject);
		socket.once("connect", () => {
			socket.off("error", reject);
			resolve(socket);
		});
	});
}

/** Each direction ends by itself, a broken one ends both. */
function join(client: Duplex, target: Socket, head: Buffer): void {
	target.on("error", () => client.destroy());
	client.once("close", () => target.destroy());
	if (client.destroyed) {
		target.destroy();
		return;
	}
	client.write("HTTP/1.1 200 OK\r\n\r\n");
	if (head.length > 0) target.write(head);
	target.pipe(client);
	client.pipe(target);
}
