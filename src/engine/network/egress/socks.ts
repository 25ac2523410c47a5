/** Client side of SOCKS version 5 (RFC 1928) with user name and password (RFC 1929). */

import { once } from "node:events";
import type { Socket } from "node:net";
import type { SocksProxy } from "../types.ts";

const VERSION = 5;
const NO_AUTHENTICATION = 0;
const USER_PASSWORD = 2;
const USER_PASSWORD_VERSION = 1;
const CONNECT = 1;
const IPV4 = 1;
const DOMAIN = 3;
const IPV6 = 4;
const SUCCEEDED = 0;

/**
 * Asks the proxy at the other end of `socket` for a connection. When it resolves, the socket carries that connection.
 * @param address IPv4 address: names are resolved on this side, where the result is checked
 * @throws Error when the proxy refuses
 */
export async function socksConnect(
	socket: Socket,
	proxy: SocksProxy,
	destination: { readonly address: string; readonly port: number },
	signal: AbortSignal,
): Promise<void> {
	const method = proxy.username === undefined ? NO_AUTHENTICATION : USER_PASSWORD;
	socket.write(Buffer.from([VERSION, 1, method]));
	const [version, chosen] = await read(socket, 2, signal);
	if (version !== VERSION || chosen !== method) throw new Error("the SOCKS proxy accepts none of our ways to authenticate");
	if (proxy.username !== undefined) await authenticate(socket, proxy.username, proxy.password ?? "", signal);

	const bytes = destination.address.split(".").map(Number);
	socket.write(Buffer.from([VERSION, CONNECT, 0, IPV4, ...bytes, destination.port >> 8, destination.port & 0xff]));
	const [, reply, , kind] = await read(socket, 4, signal);
	if (reply !== SUCCEEDED) throw new Error(`the SOCKS proxy could not connect: ${reply}`);
	await read(socket, (await boundAddressBytes(socket, kind, signal)) + 2, signal);
}

async function authenticate(socket: Socket, username: string, password: string, signal: AbortSignal): Promise<void> {
	const field = (text: string) => {
		const bytes = Buffer.from(text);
		return Buffer.concat([Buffer.from([bytes.length]), bytes]);
	};
	socket.write(Buffer.concat([Buffer.from([USER_PASSWORD_VERSION]), field(username), field(password)]));
	const [, status] = await read(socket, 2, signal);
	if (status !== SUCCEEDED) throw new Error("the SOCKS proxy refuses user name or password");
}

async function boundAddressBytes(socket: Socket, kind: number | undefined, signal: AbortSignal): Promise<number> {
	if (kind === IPV4) return 4;
	if (kind === IPV6) return 16;
	if (kind !== DOMAIN) throw new Error("the SOCKS proxy answers with an address of an unknown kind");
	return (await read(socket, 1, signal))[0] ?? 0;
}

/** Reads exactly so many bytes; what follows stays in the socket. */
async function read(socket: Socket, count: number, signal: AbortSignal): Promise<Buffer> {
	for (;;) {
		const bytes: unknown = socket.read(count);
		if (Buffer.isBuffer(bytes) && bytes.length === count) return bytes;
		if (bytes !== null || socket.readableEnded || socket.destroyed) throw new Error("the SOCKS proxy ended the connection");
		await once(socket, "readable", { signal });
	}
}
