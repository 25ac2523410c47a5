/** Passes bodies on, chunk by chunk as they come, at the pace of the slower side. */
import type { ClientRequest as GuestRequest, IncomingMessage } from "node:http";
import {
	addTrailers,
	type ClientRequest,
	type ClientResponse,
	flushHead,
	gather,
	isOpen,
	takesBody,
	writeHead,
} from "./client.ts";
import { fields } from "./fields.ts";
import { responseHeaders } from "./headers.ts";

/** Bytes. Of a chunk as long as this the rest is still to come, and a large stream is not held back for its sake. */
const FULL_CHUNK = 16 * 1024;

/**
 * Starts the client's response and streams the guest's body into it; finishes it only when the guest finished its own.
 * @throws when the guest's status line or headers can't be sent on
 */
export function relayResponse(from: IncomingMessage, to: ClientResponse): void {
	writeHead(to, from, responseHeaders(from));
	const withBody = takesBody(to, from);
	let started = false;
	from.on("data", (chunk: Buffer) => {
		started = true;
		if (!withBody) return;
		if (chunk.length < FULL_CHUNK) gather(to);
		if (!to.write(chunk)) from.pause();
	});
	to.on("drain", () => from.resume());
	from.on("end", () => {
		started = true;
		if (from.rawTrailers.length > 0) addTrailers(to, [...fields(from.rawTrailers)]);
		to.end();
	});
	// Headers travel with the first bytes of the body if those are here already, else alone: a stream may stay silent long.
	setImmediate(() => {
		if (!started && isOpen(to)) flushHead(to);
	});
}

/**
 * Streams the client's body to the guest.
 * @returns a function that stops it; the rest of the body is then read and thrown away, so that the connection stays usable
 */
export function relayRequestBody(from: ClientRequest, to: GuestRequest): () => void {
	let started = false;
	const onData = (chunk: Buffer) => {
		started = true;
		if (!to.write(chunk)) from.pause();
	};
	const onDrain = () => from.resume();
	const onEnd = () => {
		started = true;
		if (from.rawTrailers.length > 0) to.addTrailers([...fields(from.rawTrailers)]);
		to.end();
	};
	from.on("data", onData).on("end", onEnd);
	to.on("drain", onDrain);
	setImmediate(() => {
		if (!started && !to.destroyed) to.flushHeaders();
	});
	return () => {
		started = true;
		from.off("data", onData).off("end", onEnd);
		to.off("drain", onDrain);
		from.resume();
	};
}
