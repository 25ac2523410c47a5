/** `X-Metadata-<key>` headers of an upload. Limits: E2B wire protocol. */
import type { IncomingMessage } from "node:http";
import { HttpError } from "../errors.ts";

const PREFIX = "x-metadata-";
const MAX_KEY_BYTES = 246;
const MAX_TOTAL_BYTES = 4096;
const PRINTABLE = /^[\x20-\x7e]*$/;

/** @throws HttpError 400 */
export function metadataOf(request: IncomingMessage): Record<string, string> {
	const metadata: Record<string, string> = {};
	let total = 0;
	for (const [name, values] of Object.entries(request.headersDistinct)) {
		if (!name.startsWith(PREFIX)) continue;
		const key = name.slice(PREFIX.length);
		const value = values?.[0] ?? "";
		if (key === "" || key.length > MAX_KEY_BYTES) {
			throw new HttpError(400, `metadata key '${key}' must have 1 to ${MAX_KEY_BYTES} bytes`);
		}
		if (!PRINTABLE.test(value)) throw new HttpError(400, `metadata value of '${key}' must be printable ASCII`);
		total += key.length + value.length;
		metadata[key] = value;
	}
	if (total > MAX_TOTAL_BYTES) throw new HttpError(400, `metadata must not exceed ${MAX_TOTAL_BYTES} bytes in total`);
	return metadata;
}
