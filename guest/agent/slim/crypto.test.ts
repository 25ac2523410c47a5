import { createHash, generateKeyPairSync, sign, verify } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildAddon } from "../packaging/compile.ts";

let directory: string;
let crypto: typeof import("./crypto.ts");

beforeAll(async () => {
	directory = await mkdtemp(join(tmpdir(), "offshoot-slim-"));
	process.env.OFFSHOOT_ADDON = join(directory, "addon.node");
	await buildAddon(process.env.OFFSHOOT_ADDON, AbortSignal.timeout(60_000));
	crypto = await import("./crypto.ts");
}, 60_000);

afterAll(async () => {
	delete process.env.OFFSHOOT_ADDON;
	await rm(directory, { recursive: true });
});

describe("what stands in for node:crypto", () => {
	const parts = ["", "text", "ä€", Buffer.from([0, 255, 10]), Buffer.alloc(100_000, 7)];
	test.each(parts.map((part) => [String(part).slice(0, 10), part] as const))("the digest of %j is Node's", (_name, part) => {
		const ours = crypto.createHash("sha256").update(part).update("end").digest("hex");
		expect(ours).toBe(createHash("sha256").update(part).update("end").digest("hex"));
	});

	test("text is taken in the encoding that is named", () => {
		const ours = crypto.createHash("sha256").update("AAEC", "base64").digest();
		expect(ours).toEqual(createHash("sha256").update("AAEC", "base64").digest());
	});

	test("what was given may change before the digest is asked for", () => {
		const buffer = Buffer.from("before");
		const hash = crypto.createHash("sha256").update(buffer);
		buffer.fill(0);
		expect(hash.digest("base64")).toBe(createHash("sha256").update("before").digest("base64"));
	});

	test("a digest of another kind is refused, not answered with SHA-256", () => {
		for (const algorithm of ["sha512", "sha1", "md5", ""]) {
			expect(() => crypto.createHash(algorithm)).toThrow("is not in this package");
		}
	});

	test("a digest named for a signature that takes none is refused, as by Node", () => {
		const { privateKey, publicKey } = generateKeyPairSync("ed25519");
		const message = Buffer.from("message");
		const signature = sign(null, message, privateKey);
		const format = { format: "der", type: "spki" } as const;
		const ours = crypto.createPublicKey({ key: publicKey.export(format), ...format });
		expect(crypto.verify(null, message, ours, signature)).toBe(true);
		expect(() => verify("sha512", message, publicKey, signature)).toThrow();
		expect(() => crypto.verify("sha512", message, ours, signature)).toThrow("take no digest");
	});

	test("a signature holds for its key and message only", () => {
		const { privateKey, publicKey } = generateKeyPairSync("ed25519");
		const other = generateKeyPairSync("ed25519").publicKey;
		const message = Buffer.from("message");
		const signature = sign(null, message, privateKey);
		const read = (key: typeof publicKey) =>
			crypto.createPublicKey({ key: key.export({ format: "der", type: "spki" }), format: "der", type: "spki" });
		const verify = (key: typeof publicKey, data: Buffer, given: Buffer) => crypto.verify(null, data, read(key), given);
		expect(verify(publicKey, message, signature)).toBe(true);
		expect(verify(other, message, signature)).toBe(false);
		expect(verify(publicKey, Buffer.from("massage"), signature)).toBe(false);
		expect(verify(publicKey, message, signature.subarray(1))).toBe(false);
		expect(verify(publicKey, message, Buffer.alloc(0))).toBe(false);
	});

	test("a key of another kind, or a part of one, is refused", () => {
		const format = { format: "der", type: "spki" } as const;
		const foreign = generateKeyPairSync("x25519").publicKey.export(format);
		const whole = generateKeyPairSync("ed25519").publicKey.export(format);
		for (const key of [foreign, whole.subarray(1), whole.subarray(0, -1), Buffer.alloc(0)]) {
			expect(() => crypto.createPublicKey({ key, ...format })).toThrow("not an Ed25519 public key");
		}
	});

	test("bytes are compared to the last", () => {
		expect(crypto.timingSafeEqual(Buffer.from("abc"), Buffer.from("abc"))).toBe(true);
		expect(crypto.timingSafeEqual(Buffer.from("abc"), Buffer.from("abd"))).toBe(false);
		expect(() => crypto.timingSafeEqual(Buffer.from("abc"), Buffer.from("ab"))).toThrow(RangeError);
	});
});
