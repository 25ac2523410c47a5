/** Waits for the first bytes of a client, for the name in them. */
import { once } from "node:events";
import type { Socket } from "node:net";
import type { Sniffing } from "./sniff.ts";

/**
 * Reads until the name is known, and puts what was read back. Undefined when there is none, or not in time.
 * @param sniff decides how many bytes are read at most
 */
export async function readName(client: Socket, sniff: () => Sniffing, signal: AbortSignal): Promise<string | undefined> {
	const read = new Gathered();
	const sniffing = sniff();
	let step = sniffing.next();
	while (step.done !== true) {
		const chunk: unknown = client.read();
		if (!Buffer.isBuffer(chunk)) {
			if (client.readableEnded || client.destroyed || signal.aborted) break;
			await once(client, "readable", { signal }).catch(() => {});
			continue;
		}
		read.add(chunk);
		while (step.done !== true && read.length >= step.value) step = sniffing.next(read.bytes);
	}
	if (read.length > 0 && !client.readableEnded && !client.destroyed) client.unshift(read.bytes);
	return step.done !== true || step.value === "none" ? undefined : step.value.name;
}

/** Bytes in one piece. They may come one by one: to add some costs about what is added, not what was there. */
class Gathered {
	#room = Buffer.alloc(0);
	length = 0;

	get bytes(): Buffer {
		return this.#room.subarray(0, this.length);
	}

	add(chunk: Buffer): void {
		const length = this.length + chunk.length;
		if (length > this.#room.length) {
			const larger = Buffer.alloc(2 * length);
			this.bytes.copy(larger);
			this.#room = larger;
		}
		chunk.copy(this.#room, this.length);
		this.length = length;
	}
}
