/**
 * Random numbers that differ between the clones of one snapshot. V8 seeds `Math.random` once per process, and OpenSSL's
 * generator lives in memory too; both would go on alike in every clone. So `Math.random` is a generator that can be
 * seeded again, and the random functions of node:crypto read from the operating system.
 */

import crypto from "node:crypto";
import { openSync, readSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/** State of xoshiro128**: https://prng.di.unimi.it/xoshiro128starstar.c */
const state = new Uint32Array(4);

/** Replaces the generators of this process. */
export function installRandom(): void {
	reseed(systemBytes(32));
	define(Math, "random", function random(): number {
		return ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 0x20000000000000;
	});
	installCrypto();
}

/** Seeds `Math.random` from 32 bytes. */
export function reseed(seed: Buffer): void {
	for (let word = 0; word < state.length; word++) state[word] = seed.readUInt32LE(word * 4) ^ seed.readUInt32LE(16 + word * 4);
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

function installCrypto(): void {
	const randomFillSync = <T extends NodeJS.ArrayBufferView>(buffer: T, offset = 0, size?: number): T => {
		const unit = "BYTES_PER_ELEMENT" in buffer ? Number(buffer.BYTES_PER_ELEMENT) : 1;
		const start = buffer.byteOffset + offset * unit;
		const length = size === undefined ? buffer.byteLength - offset * unit : size * unit;
		fill(new Uint8Array(buffer.buffer, start, length));
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

function randomUUID(): string {
	const bytes = systemBytes(16);
	bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
	bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
	const hex = bytes.toString("hex");
	return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

let urandom: number | undefined;

function systemBytes(size: number): Buffer {
	const bytes = Buffer.alloc(size);
	fill(bytes);
	return bytes;
}

function fill(bytes: Uint8Array): void {
	urandom ??= openSync("/dev/urandom", "r");
	for (let filled = 0; filled < bytes.length; ) filled += readSync(urandom, bytes, filled, bytes.length - filled, null);
}

/** Replaces a built-in function; like the original, it is as enumerable as it was. */
function define(target: object, name: string, value: (...args: never[]) => unknown): void {
	const enumerable = Object.getOwnPropertyDescriptor(target, name)?.enumerable ?? false;
	Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable });
}
