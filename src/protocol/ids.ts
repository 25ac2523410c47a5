import { randomBytes, randomUUID } from "node:crypto";
import { OffshootError } from "./errors.ts";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";

/** `length` characters of [a-z0-9], uniformly drawn from the system's random source. */
function randomWord(length: number): string {
	let word = "";
	while (word.length < length) {
		for (const byte of randomBytes(length)) {
			// 252 is the largest multiple of 36 below 256: bytes above it would favour the first letters.
			if (byte < 252 && word.length < length) word += ALPHABET[byte % 36];
		}
	}
	return word;
}

/** `i` and 20 characters of [a-z0-9]: it becomes part of a DNS label, so it has no dash. */
export function newSandboxId(): string {
	return `i${randomWord(20)}`;
}

export function newTemplateId(): string {
	return randomWord(20);
}

/** Id of a build, which is the id of the artifact it produced. */
export function newBuildId(): string {
	return randomUUID();
}

/** Access token of a sandbox: 256 bits. */
export function newAccessToken(): string {
	return randomBytes(32).toString("hex");
}

/** API key in the form every client version accepts: `e2b_` and 40 hexadecimal digits. */
export function newApiKey(): string {
	return `e2b_${randomBytes(20).toString("hex")}`;
}

const SANDBOX_ID = /^[a-z0-9]{1,64}$/;

export function isSandboxId(text: string): boolean {
	return SANDBOX_ID.test(text);
}

const ISSUED_SANDBOX_ID = /^i[a-z0-9]{20}$/;

/** True for ids as `newSandboxId` makes them. */
export function isIssuedSandboxId(text: string): boolean {
	return ISSUED_SANDBOX_ID.test(text);
}

/**
 * Reads a sandbox id from a path. Older clients append their client id after a dash.
 * @throws OffshootError invalid_request
 */
export function parseSandboxId(text: string): string {
	const parts = text.split("-");
	const id = parts[0] ?? "";
	if (parts.length > 2 || !isSandboxId(id)) throw new OffshootError("invalid_request", "Invalid sandbox ID");
	return id;
}

/** A container's id: the sandbox and the number of its life, which grows with every resume. */
export function containerId(sandboxId: string, incarnation: number): string {
	return `${sandboxId}-${incarnation}`;
}
