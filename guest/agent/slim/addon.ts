/** Our functions in C (guest/agent/addon). */

interface Addon {
	/** SHA-256 */
	sha256(data: Uint8Array): Buffer;
	/** True if `signature` was made over `message` with the private half of `key`, which is raw (32 bytes). */
	verifyEd25519(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

/** @throws Error when it is missing or does not fit this Node */
export function loadAddon(path: string): Addon {
	const module: { exports: Partial<Addon> } = { exports: {} };
	process.dlopen(module, path);
	const { sha256, verifyEd25519 } = module.exports;
	if (sha256 === undefined || verifyEd25519 === undefined) throw new Error(`${path} is not the addon of this version`);
	return { sha256, verifyEd25519 };
}
