/**
 * Where a redirected connection was meant to go. Linux tells by a socket option that Node has no call for, so the C
 * library is called directly; Node's FFI is there from version 26 on.
 */
import type { Socket } from "node:net";

export interface Destination {
	readonly address: string;
	readonly port: number;
}

export type OriginalDestination = (socket: Socket) => Destination | undefined;

/** Values of Linux: netinet/in.h, linux/netfilter_ipv4.h. */
const SOL_IP = 0;
const SO_ORIGINAL_DST = 80;
const SOCKADDR_IN_BYTES = 16;

/** Undefined when this Node cannot tell. */
export async function loadOriginalDestination(): Promise<OriginalDestination | undefined> {
	const ffi = await import("node:ffi").catch(() => undefined);
	if (ffi === undefined) return undefined;
	const { functions } = ffi.dlopen(null, {
		getsockopt: { arguments: ["i32", "i32", "i32", "buffer", "buffer"], return: "i32" },
	});
	const getsockopt = functions.getsockopt;
	return (socket) => {
		const descriptor = descriptorOf(socket);
		if (descriptor === undefined) return undefined;
		const address = Buffer.alloc(SOCKADDR_IN_BYTES);
		const length = Buffer.alloc(4);
		length.writeUInt32LE(SOCKADDR_IN_BYTES);
		if (getsockopt(descriptor, SOL_IP, SO_ORIGINAL_DST, address, length) !== 0) return undefined;
		return { address: [...address.subarray(4, 8)].join("."), port: address.readUInt16BE(2) };
	};
}

/** Node has no public way to a socket's descriptor. */
function descriptorOf(socket: Socket): number | undefined {
	const handle: unknown = Reflect.get(socket, "_handle");
	if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
	return typeof handle.fd === "number" && handle.fd >= 0 ? handle.fd : undefined;
}
