/**
 * Random numbers that differ between the clones of one snapshot. V8 seeds `Math.random` once per process, and OpenSSL's
 * generator lives in memory too; both would go on alike in every clone. So `Math.random` is a generator that can be
 * seeded again, and the random functions of node:crypto read from the operating system.
 */

import { registerHooks, syncBuiltinESMExports } from "node:module";
import process from "node:process";
import { fillRandom, randomUUID, randomBytes as systemBytes } from "../random.ts";

/** State of xoshiro128**: https://prng.di.unimi.it/xoshiro128starstar.c */
const state = new Uint32Array(4);

/** Replaces the generators of this process. */
export function installRandom(): void {
	reseed(systemBytes(32));
	define(Math, "random", function random(): number {
		return ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 0x20000000000000;
	});
	installCryptoOnUse();
}

/** Loading node:crypto takes 1.5 MB, which cells that never use it need not carry into every snapshot. */
function installCryptoOnUse(): void {
	const descriptor = Object.getOwnPropertyDescriptor(globalThis, "crypto");
	let installed = false;
	const install = () => {
		if (installed) return;
		installed = true;
		installCrypto(process.getBuiltinModule("node:crypto"));
	};
	registerHooks({
		resolve(specifier, context, next) {
			if (specifier === "crypto" || specifier === "node:crypto") install();
			return next(specifier, context);
		},
	});
	Object.defineProperty(globalThis, "crypto", {
		...descriptor,
		get() {
			install();
			return descriptor?.get?.call(globalThis);
		},
	});
}

/** Seeds `Math.random` from the first 16 of 32 bytes. */
export function reseed(seed: Buffer): void {
	for (let word = 0; word < state.length; word++) state[word] = seed.readUInt32LE(word * 4);
	if (state.every((word) => word === 0)) state[0] = 1;
}

function next(): number {
	const [a = 0, b = 0, c = 0, d = 0] = state;
	const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
	const third = c ^ a;
	const fourth = d ^ b;
	state[0] = a ^ fourth;
	state[1] = b ^ third;
	state[2] = third ^ (b << 9);
	state[3] = rotate(fourth, 11);
	return result;
}

function rotate(word: number, bits: number): number {
	return (word << bits) | (word >>> (32 - bits));
}

function installCrypto(crypto: typeof import("node:crypto")): void {
	const randomFillSync = <T extends NodeJS.ArrayBufferView>(buffer: T, offset = 0, size?: number): T => {
		const unit = "BYTES_PER_ELEMENT" in buffer ? Number(buffer.BYTES_PER_ELEMENT) : 1;
		const start = buffer.byteOffset + offset * unit;
		const length = size === undefined ? buffer.byteLength - offset * unit : size * unit;
		fillRandom(new Uint8Array(buffer.buffer, start, length));
		return buffer;
	};
	const getRandomValues = <T extends NodeJS.ArrayBufferView>(buffer: T): T => randomFillSync(buffer);
	const randomBytes = (size: number, callback?: (error: null, bytes: Buffer) => void): Buffer | undefined => {
		const bytes = systemBytes(size);
		if (!callback) return bytes;
		process.nextTick(callback, null, bytes);
		return undefined;
	};
	define(crypto, "randomFillSync", randomFillSync);
	define(crypto, "randomBytes", randomBytes);
	define(crypto, "pseudoRandomBytes", randomBytes);
	define(crypto, "randomUUID", randomUUID);
	const web: object = Object.getPrototypeOf(crypto.webcrypto);
	define(web, "getRandomValues", getRandomValues);
	define(web, "randomUUID", randomUUID);
	syncBuiltinESMExports();
}

/** Replaces a built-in function; like the original, it is as enumerable as it was. */
function define(target: object, name: string, value: (...args: never[]) => unknown): void {
	const enumerable = Object.getOwnPropertyDescriptor(target, name)?.enumerable ?? false;
	Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable });
}
