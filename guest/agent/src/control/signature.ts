import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { HttpError } from "../errors.ts";

/** Reads an Ed25519 public key from SPKI DER in base64. @throws HttpError 400 */
export function parseControlKey(encoded: string): KeyObject {
	try {
		const key = createPublicKey({ key: Buffer.from(encoded, "base64"), format: "der", type: "spki" });
		if (key.asymmetricKeyType === "ed25519") return key;
	} catch {
		// Told below, as keys of other kinds.
	}
	throw new HttpError(400, "nextControlKey must be an Ed25519 public key (SPKI DER in base64)");
}

/** True if `signature` (base64) was made over `body` with the private half of `key`. */
export function isSigned(body: Buffer, signature: string | undefined, key: KeyObject): boolean {
	if (signature === undefined) return false;
	return verify(null, body, key, Buffer.from(signature, "base64"));
}
