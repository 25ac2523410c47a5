/** What a data directory gets once and keeps for life: the instance's id, its first API key and the operator's token. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../../engine/index.ts";
import { newApiKey, OffshootError } from "../../protocol/index.ts";

const INSTANCE_ID = /^[0-9a-f]{6}$/;
const ADMIN_TOKEN = /^[0-9a-f]{64}$/;
const API_KEY = /^e2b_[0-9a-f]+$/;

/** Undefined on a data directory that never had a server. @throws OffshootError internal when damaged */
export function readInstanceId(dataDir: string): Promise<string | undefined> {
	return read(join(dataDir, "instance"), INSTANCE_ID);
}

/**
 * Every host resource carries this id, so that instances live side by side. Made once, by the owner of the data
 * directory's lock: losing it would orphan what a crashed server left on the host.
 */
export async function ensureInstanceId(dataDir: string): Promise<string> {
	return (await readInstanceId(dataDir)) ?? create(join(dataDir, "instance"), randomBytes(3).toString("hex"), 0o644);
}

/** The key that `env` prints. The database holds only its hash, so this file, for root's eyes, is its one copy. */
export async function ensureApiKey(dataDir: string): Promise<string> {
	return (await readApiKey(dataDir)) ?? create(join(dataDir, "key"), newApiKey(), 0o600);
}

/** Opens the operator's routes of the API. */
export async function ensureAdminToken(dataDir: string): Promise<string> {
	return (await readAdminToken(dataDir)) ?? create(join(dataDir, "admin-token"), randomBytes(32).toString("hex"), 0o600);
}

/** Undefined before the first start. @throws OffshootError internal when damaged, forbidden when unreadable */
export function readAdminToken(dataDir: string): Promise<string | undefined> {
	return read(join(dataDir, "admin-token"), ADMIN_TOKEN);
}

/** Undefined before the first start. @throws OffshootError internal when damaged, forbidden when unreadable */
export function readApiKey(dataDir: string): Promise<string | undefined> {
	return read(join(dataDir, "key"), API_KEY);
}

async function read(path: string, form: RegExp): Promise<string | undefined> {
	let text: string;
	try {
		text = (await readFile(path, "utf8")).trim();
	} catch (error) {
		const code = error instanceof Error && "code" in error ? error.code : undefined;
		if (code === "ENOENT" || code === "ENOTDIR") return undefined;
		if (code === "EACCES") throw new OffshootError("forbidden", `${path} is readable by root only. FIX: sudo ./offshoot …`);
		throw error;
	}
	if (form.test(text)) return text;
	throw new OffshootError("internal", `${path} is damaged. FIX: restore it from a backup, or delete it to get a new one`);
}

async function create(path: string, content: string, mode: number): Promise<string> {
	// A start that is acknowledged and then loses power must come back with the same id and key.
	await replaceFile(path, `${content}\n`, mode);
	return content;
}
