/** Waits for the first bytes of a client, for the name in them. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { MAX_SNIFFED_BYTES, type Sniffed } from "./sniff.ts";

/** Reads until the name is known, and puts what was read back. Undefined when there is none, or not in time. */
export async function readName(
	client: Socket,
	sniff: (bytes: Buffer) => Sniffed,
	signal: AbortSignal,
): Promise<string | undefined> {
	let bytes = Buffer.alloc(0);
	let sniffed: Sniffed = "more";
	while (sniffed === "more" && bytes.length < MAX_SNIFFED_BYTES) {
		const chunk: unknown = client.read();
		if (!Buffer.isBuffer(chunk)) {
			if (client.readableEnded || client.destroyed || signal.aborted) break;
			await once(client, "readable", { signal }).catch(() => {});
			continue;
		}
		bytes = Buffer.concat([bytes, chunk]);
		sniffed = sniff(bytes);
	}
	if (bytes.length > 0 && !client.readableEnded && !client.destroyed) client.unshift(bytes);
	return typeof sniffed === "string" ? undefined : sniffed.name;
}
