import { createHash, timingSafeEqual } from "node:crypto";

/** Compares a secret with what somebody gave for it, in a time that tells nothing of either, their lengths included. */
export function isSameSecret(given: string, secret: string): boolean {
	return timingSafeEqual(digest(given), digest(secret));
}

/** Digests have one length, which the comparison in constant time needs. */
function digest(text: string): Buffer {
	return createHash("sha256").update(text).digest();
}
