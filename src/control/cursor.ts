/** Positions in a list, opaque to clients: the sort key of the last item, so pages stay right while rows come and go. */
import { OffshootError } from "../protocol/index.ts";
import type { Page } from "./types.ts";

const SEPARATOR = "__";
const ASCENDING = "asc";

export interface SandboxCursor {
	readonly startedAt: Date;
	readonly id: string;
}

export interface SnapshotCursor {
	readonly createdAt: Date;
	readonly templateId: string;
	readonly tag: string;
}

export interface TagCursor {
	readonly tag: string;
	readonly latestAt: Date;
}

export function writeSandboxCursor(cursor: SandboxCursor, order: "asc" | "desc"): string {
	const parts = [cursor.startedAt.toISOString(), cursor.id];
	return encode(order === "asc" ? [...parts, ASCENDING] : parts);
}

/** @throws OffshootError invalid_request, also when the token belongs to a list in the other order */
export function readSandboxCursor(token: string, order: "asc" | "desc"): SandboxCursor {
	const [time = "", id = "", mark, ...rest] = decode(token);
	if (id === "" || rest.length > 0 || mark !== (order === "asc" ? ASCENDING : undefined)) throw invalid();
	return { startedAt: readTime(time), id };
}

export function writeSnapshotCursor(cursor: SnapshotCursor): string {
	return encode([cursor.createdAt.toISOString(), cursor.templateId, cursor.tag]);
}

/** @throws OffshootError invalid_request */
export function readSnapshotCursor(token: string): SnapshotCursor {
	// A tag may contain the separator.
	const [time = "", templateId = "", ...tag] = decode(token);
	if (templateId === "" || tag.length === 0) throw invalid();
	return { createdAt: readTime(time), templateId, tag: tag.join(SEPARATOR) };
}

export function writeTagCursor({ tag, latestAt }: TagCursor): string {
	return encode([latestAt.toISOString(), tag]);
}

/** @throws OffshootError invalid_request */
export function readTagCursor(token: string): TagCursor {
	// A tag may contain the separator.
	const [time = "", ...tag] = decode(token);
	if (tag.length === 0) throw invalid();
	return { latestAt: readTime(time), tag: tag.join(SEPARATOR) };
}

/**
 * A page of a list.
 * @param rows one more than the page may have, if there are more
 * @param token of the next page, from this one's last row
 */
export function pageOf<T>(rows: readonly T[], limit: number, token: (last: T) => string): Page<T> {
	const items = rows.slice(0, limit);
	const last = items.at(-1);
	return { items, nextToken: last !== undefined && rows.length > items.length ? token(last) : undefined };
}

/** For lists that are ordered by time of making and id. */
export function writePosition(position: { readonly createdAt: Date; readonly id: string }): string {
	return encode([position.createdAt.toISOString(), position.id]);
}

/** @throws OffshootError invalid_request */
export function readPosition(token: string): { readonly createdAt: Date; readonly id: string } {
	const [time = "", id = "", ...rest] = decode(token);
	if (id === "" || rest.length > 0) throw invalid();
	return { createdAt: readTime(time), id };
}

function encode(parts: readonly string[]): string {
	return Buffer.from(parts.join(SEPARATOR)).toString("base64url");
}

function decode(token: string): readonly string[] {
	return Buffer.from(token, "base64url").toString().split(SEPARATOR);
}

function readTime(text: string): Date {
	const time = new Date(text);
	if (Number.isNaN(time.getTime())) throw invalid();
	return time;
}

function invalid(): OffshootError {
	return new OffshootError("invalid_request", "Invalid next token");
}
