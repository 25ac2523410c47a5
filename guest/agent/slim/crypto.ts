/**
 * Stands in for `node:crypto` in the packaged agent: of that module, which is 1.3 MB of every memory image once it was
 * used, every start of a sandbox needs two functions only. They answer as Node's own; what the agent does not ask for
 * is not there, or throws: its callers are checked against Node's types and tested with Node's functions, so an argument
 * that was ignored here would give wrong answers in sandboxes alone. The rest is Node's, loaded at its first use.
 */
import { loadAddon } from "./addon.ts";

const addon = loadAddon(process.env.OFFSHOOT_ADDON ?? "/opt/offshoot/lib/addon.node");

/** What comes before the 32 bytes of an Ed25519 public key in SPKI DER. Source: RFC 8410. */
const ED25519_SPKI = Buffer.from("302a300506032b6570032100", "hex");
const ED25519_BYTES = 32;

type Bytes = string | Uint8Array;
type Encoding = "utf8" | "base64" | "hex";

class Sha256 {
	private readonly parts: Buffer[] = [];

	update(data: Bytes, encoding?: Encoding): this {
		this.parts.push(Buffer.from(typeof data === "string" ? Buffer.from(data, encoding) : data));
		return this;
	}

	digest(): Buffer;
	digest(encoding: "base64" | "hex"): string;
	digest(encoding?: "base64" | "hex"): Buffer | string {
		const digest = addon.sha256(Buffer.concat(this.parts));
		return encoding === undefined ? digest : digest.toString(encoding);
	}
}

/** @throws Error for any but SHA-256 */
export function createHash(algorithm: string): Sha256 {
	if (algorithm !== "sha256") throw new Error(`digest ${algorithm} is not in this package`);
	return new Sha256();
}

interface Ed25519Key {
	readonly asymmetricKeyType: "ed25519";
	readonly raw: Buffer;
}

/** @throws Error for what is no Ed25519 key in SPKI DER */
export function createPublicKey({ key }: { readonly key: Buffer; readonly format: "der"; readonly type: "spki" }): Ed25519Key {
	const raw = key.subarray(ED25519_SPKI.length);
	if (raw.length !== ED25519_BYTES || !key.subarray(0, ED25519_SPKI.length).equals(ED25519_SPKI)) {
		throw new Error("not an Ed25519 public key");
	}
	return { asymmetricKeyType: "ed25519", raw };
}

/** @throws Error if a digest is named: Ed25519 has its own */
export function verify(algorithm: string | null, data: Buffer, key: Ed25519Key, signature: Buffer): boolean {
	if (algorithm !== null) throw new Error(`Ed25519 signatures take no digest, not ${algorithm}`);
	return addon.verifyEd25519(key.raw, data, signature);
}

/** Looks at every byte, whatever it finds. @throws RangeError for different lengths */
export function timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean {
	if (a.length !== b.length) throw new RangeError("Input buffers must have the same byte length");
	let difference = 0;
	for (const [at, byte] of a.entries()) difference |= byte ^ (b[at] ?? 0);
	return difference === 0;
}

const whole = () => process.getBuiltinModule("node:crypto");

export const randomBytes = (size: number) => whole().randomBytes(size);
export const randomUUID = () => whole().randomUUID();
