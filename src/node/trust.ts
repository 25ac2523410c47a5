/**
 * Certificates that guests trust: those of their host, so that what the host's operator trusts works inside too, and
 * the instance's own for requests that get header fields on their way out.
 */
import { createHash } from "node:crypto";
import { readTrustStore } from "../engine/index.ts";

export interface Trust {
	/** The whole bundle, PEM. */
	readonly bundle: string;
	/** SHA-256 of the bundle. A guest whose image has it already is not sent it again: that costs each start 15 ms. */
	readonly digest: string;
}

/**
 * Undefined on a host without a trust store: guests keep their own.
 * @param own PEM of what guests trust besides
 */
export async function readHostTrust(own: string, signal: AbortSignal): Promise<Trust | undefined> {
	const host = await readTrustStore(signal);
	if (host === undefined) return undefined;
	const bundle = `${host.trimEnd()}\n${own}`;
	return { bundle, digest: createHash("sha256").update(bundle).digest("hex") };
}
