/**
 * The Jupyter messaging protocol on the wire, version 5.3:
 * https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol
 */

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
	readonly session: string;
	readonly type: string;
	readonly content: unknown;
}

/** The frames of a request, without a signature. */
export function encodeMessage({ id, session, type, content }: OutgoingMessage): string[] {
	const date = new Date().toISOString();
	const header = { msg_id: id, msg_type: type, session, username: "offshoot", date, version: "5.3" };
	return [DELIMITER, "", JSON.stringify(header), "{}", "{}", JSON.stringify(content)];
}

/** Reads a message from the kernel; undefined if it is none. */
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
