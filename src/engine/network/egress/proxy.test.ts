import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EgressPolicy } from "../types.ts";
import { Certificates } from "./certificates.ts";
import { Destinations } from "./destinations.ts";
import { EgressProxy } from "./proxy.ts";

const GUEST = "127.0.0.1";
const NEIGHBOUR = "127.0.0.2";
/** As many connections without a name as one guest may have. */
const LIMIT = 256;

/** Every name is found at this machine. */
class Here extends Destinations {
	override find(): Promise<readonly string[]> {
		return Promise.resolve(["127.0.0.1"]);
	}
}

/** A SOCKS proxy in so far as it is connected to: whoever said a name that is allowed gets there. */
let beyond: Server;
let port: number;
const sockets = new Set<Socket>();

beforeEach(async () => {
	beyond = createServer().listen(0, "127.0.0.1");
	await once(beyond, "listening");
	const egressProxy = { host: "socks.test", port: (beyond.address() as AddressInfo).port };
	const policy: EgressPolicy = { internet: false, allowCidrs: [], denyCidrs: [], allowDomains: ["example.com"], egressProxy };
	const destinations = new Here({ closedCidrs: [], operatorAllowCidrs: [], dnsServer: "127.0.0.1:53" });
	const certificates = new Certificates(() => Promise.reject(new Error("none is needed")));
	const proxy = new EgressProxy(destinations, { certificates, ca: undefined });
	for (const slot of [GUEST, NEIGHBOUR]) proxy.set(slot, policy);
	port = await proxy.listenFor(80, "127.0.0.1");
});

afterEach(() => {
	for (const socket of sockets) socket.destroy();
	sockets.clear();
	beyond.close();
});

function open(localAddress: string): Socket {
	const socket = connect({ port, host: "127.0.0.1", localAddress });
	sockets.add(socket);
	socket.on("error", () => {});
	return socket;
}

/** Also after a reset, which `once` would take for a failure of the test. */
function closed(socket: Socket): Promise<unknown> {
	return new Promise((resolve) => socket.once("close", resolve));
}

async function arrives(socket: Socket): Promise<boolean> {
	const arrived = once(beyond, "connection").then(([remote]: Socket[]) => {
		remote?.destroy();
		return true;
	});
	socket.write("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
	return Promise.race([arrived, closed(socket).then(() => false)]);
}

test("a guest whose connections say no name gets no more of them until one does; its neighbour notices nothing", async () => {
	const silent: Socket[] = [];
	for (let count = 0; count < LIMIT; count++) {
		const socket = open(GUEST);
		await once(socket, "connect");
		silent.push(socket);
	}
	await closed(open(GUEST));
	// Refused by itself, not because all of them had been silent for too long.
	expect(silent.filter((socket) => socket.closed)).toEqual([]);
	expect(await arrives(open(NEIGHBOUR))).toBe(true);

	const [first] = silent;
	if (first === undefined) throw new Error("none is open");
	expect(await arrives(first)).toBe(true);
	expect(await arrives(open(GUEST))).toBe(true);
});
