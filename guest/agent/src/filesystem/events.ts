import type { MessageInitShape } from "@bufbuild/protobuf";
import { EventType, type FilesystemEventSchema } from "../../../../src/protocol/gen/filesystem_pb.js";
import type { Entries } from "./entry.ts";
import type { WatchEvent } from "./watch.ts";

export type FilesystemEvent = MessageInitShape<typeof FilesystemEventSchema>;

const WITH_ENTRY: ReadonlySet<EventType> = new Set([EventType.CREATE, EventType.WRITE, EventType.CHMOD]);

/** The event with the entry as it is now, unless the file has gone again. */
export async function withEntry({ name, path, type }: WatchEvent, entries: Entries): Promise<FilesystemEvent> {
	const entry = WITH_ENTRY.has(type) ? await entries.read(path).catch(() => undefined) : undefined;
	return { name, type, ...(entry === undefined ? {} : { entry }) };
}
