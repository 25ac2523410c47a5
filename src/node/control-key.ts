import { createPrivateKey, generateKeyPairSync, sign } from "node:crypto";

/**
 * The keys with which the host proves itself to a guest agent. The agent holds a public half only, so nothing that can
 * be read inside a guest lets anybody speak for the host; every initialisation replaces the key.
 */
export interface ControlKey {
	/** PKCS8 DER in base64; stays on the host. */
	readonly privateKey: string;
	/** SPKI DER in base64. */
	readonly publicKey: string;
}

export function newControlKey(): ControlKey {
	const { privateKey, publicKey } = generateKeyPairSync("ed25519", {
		privateKeyEncoding: { type: "pkcs8", format: "der" },
		publicKeyEncoding: { type: "spki", format: "der" },
	});
	return { privateKey: privateKey.toString("base64"), publicKey: publicKey.toString("base64") };
}

/** Ed25519 signature of `body` in base64. */
export function signControl(privateKey: string, body: Buffer): string {
	const key = createPrivateKey({ key: Buffer.from(privateKey, "base64"), type: "pkcs8", format: "der" });
	return sign(null, body, key).toString("base64");
}
