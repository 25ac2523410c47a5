/**
 * Reaches a server that listens on a guest's loopback interface only, through the guest's agent. The request for it is
 * the edge's own and goes to the control port, where no client can send one.
 */
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { CONTROL_PORT, LOOPBACK_HOST } from "../protocol/index.ts";
import { WAITING_BYTES } from "./waiting.ts";

export interface LoopbackEndpoint {
	/** Address of the guest. */
	readonly host: string;
	readonly port: number;
	readonly allowHalfOpen?: boolean;
}

/** As long as a connection to the guest itself may take: it may stand still for a snapshot. */
const LIMIT_MS = 60_000;

/** Undefined when nothing listens there, or the agent cannot say, or does not in time. @throws the reason of `signal` */
export function dialLoopback({ host, port, ...options }: LoopbackEndpoint, signal: AbortSignal): Promise<Socket | undefined> {
	return new Promise((resolve, reject) => {
		signal.throwIfAborted();
		// It becomes the connection to the guest's server: never one from a pool.
		const endpoint = { ...options, host, port: CONTROL_PORT, noDelay: true, highWaterMark: WAITING_BYTES };
		const socket = connect(endpoint);
		const call = request({ createConnection: () => socket, method: "CONNECT", path: `${LOOPBACK_HOST}:${port}` });
		const abort = () =>
			settle(() => {
				socket.destroy();
				reject(signal.reason);
			});
		const settle = (outcome: () => void) => {
			clearTimeout(limit);
			signal.removeEventListener("abort", abort);
			outcome();
		};
		const refused = () =>
			settle(() => {
				socket.destroy();
				resolve(undefined);
			});
		const limit = setTimeout(refused, LIMIT_MS);
		signal.addEventListener("abort", abort, { once: true });
		call.once("upgrade", refused);
		call.once("connect", (response, _socket, head) => {
			if (response.statusCode !== 200 || signal.aborted) return refused();
			// Stays for good: an error between this and the next owner's listener must not end the process.
			socket.on("error", () => {});
			if (head.length > 0) socket.unshift(head);
			settle(() => resolve(socket));
		});
		call.once("response", refused);
		call.on("error", refused);
		call.end();
	});
}
