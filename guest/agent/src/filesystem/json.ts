import { create, type JsonValue, toJson } from "@bufbuild/protobuf";
import { EntryInfoSchema } from "../../../../src/protocol/gen/filesystem_pb.js";
import type { EntryInfo } from "./entry.ts";

/** The entry as the RPC services' JSON codec writes it. */
export function entryJson(entry: EntryInfo): JsonValue {
	return toJson(EntryInfoSchema, create(EntryInfoSchema, entry));
}
