/**
 * The Jupyter messaging protocol on the wire, version 5.3:
 * https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol
 */

import { createHmac, randomUUID } from "node:crypto";

const DELIMITER = "<IDS|MSG>";

export interface JupyterMessage {
	readonly type: string;
	readonly id: string;
	/** ISO date-time. */
	readonly date: string;
	/** Id of the request that caused this message. */
	readonly parentId: string | undefined;
	readonly content: Readonly<Record<string, unknown>>;
}

export interface OutgoingMessage {
	readonly id: string;
	readonly frames: string[];
}

/** Builds and signs a request. */
export function encodeMessage(
	type: string,
	content: unknown,
	session: { readonly id: string; readonly key: string },
): OutgoingMessage {
	const id = randomUUID();
	const header = {
		msg_id: id,
		msg_type: type,
		session: session.id,
		username: "offshoot",
		date: new Date().toISOString(),
		version: "5.3",
	};
	const parts = [JSON.stringify(header), "{}", "{}", JSON.stringify(content)];
	const signature = createHmac("sha256", session.key);
	for (const part of parts) signature.update(part);
	return { id, frames: [DELIMITER, signature.digest("hex"), ...parts] };
}

/**
 * Reads a message from the kernel; undefined if it is none. Its signature is not checked: the sockets lie in a directory
 * that only root enters.
 */
export function decodeMessage(frames: readonly Buffer[]): JupyterMessage | undefined {
	const start = frames.findIndex((frame) => frame.toString() === DELIMITER);
	const [header, parent, , content] = start < 0 ? [] : frames.slice(start + 2).map(parseObject);
	if (!header || !parent || !content) return undefined;
	return {
		type: text(header.msg_type),
		id: text(header.msg_id),
		date: text(header.date),
		parentId: typeof parent.msg_id === "string" ? parent.msg_id : undefined,
		content,
	};
}

/** `value` if it is a string, else the empty string. */
export function text(value: unknown): string {
	return typeof value === "string" ? value : "";
}

function parseObject(frame: Buffer): Record<string, unknown> | undefined {
	try {
		const value: unknown = JSON.parse(frame.toString());
		return isRecord(value) ? value : undefined;
	} catch {
		return undefined;
	}
}

/** True for a plain JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
