/** Both sides of TLS for connections whose requests the proxy must see. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { connect as connectTls, type SecureContext, TLSSocket } from "node:tls";

const HANDSHAKE_TIMEOUT_MS = 20_000;

/** Our side of TLS towards the guest. Requests inside HTTP/2 would not be seen, so it is not offered. */
export function answering(client: Socket, secureContext: SecureContext): TLSSocket {
	const socket = new TLSSocket(client, { isServer: true, secureContext, ALPNProtocols: ["http/1.1"] });
	const timer = setTimeout(() => client.destroy(), HANDSHAKE_TIMEOUT_MS);
	socket.once("secure", () => clearTimeout(timer));
	socket.once("close", () => clearTimeout(timer));
	socket.on("error", () => client.destroy());
	return socket;
}

/** Our side of TLS towards the host, which must prove to be it. @throws OpenSSL's error */
export async function secured(socket: Socket, servername: string, ca: string | undefined): Promise<Socket> {
	const upstream = connectTls({ socket, servername, ALPNProtocols: ["http/1.1"], ...(ca === undefined ? {} : { ca }) });
	upstream.on("error", () => {});
	try {
		await once(upstream, "secureConnect", { signal: AbortSignal.timeout(HANDSHAKE_TIMEOUT_MS) });
		return upstream;
	} catch (error) {
		socket.destroy();
		throw error;
	}
}
