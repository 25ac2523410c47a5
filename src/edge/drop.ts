/**
 * How a client's HTTP/1.1 connection ends when its sandbox is gone. Clients decide by the way it ends: a body cut short by FIN
 * means "the sandbox was killed or reached its end of life", while a completed body, or a TCP reset, reads as some
 * other failure. So the body is never finished, and the socket is not closed while bytes from the client may be
 * unread or on their way, since the kernel answers those with a reset that can overtake what was sent before.
 */
import type { Duplex } from "node:stream";

/** How long the client's bytes are read and thrown away after our FIN, ms. */
const LINGER_MS = 10_000;

const dropped = new WeakSet<object>();

/** True for connections that were ended by `drop`: whatever still arrives on them is to be ignored. */
export function isDropped(socket: object): boolean {
	return dropped.has(socket);
}

/** Sends FIN after all that was written, reads on until the client closes too. */
export function dropSocket(socket: Duplex): void {
	if (dropped.has(socket)) return;
	dropped.add(socket);
	const linger = setTimeout(() => socket.destroy(), LINGER_MS);
	linger.unref();
	socket.once("close", () => clearTimeout(linger));
	socket.end();
	socket.resume();
}
