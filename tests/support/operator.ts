import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { inject } from "vitest";
import { type Answer, rest } from "./rest.ts";

export async function adminToken(dataDir: string): Promise<string> {
	return (await readFile(join(dataDir, "admin-token"), "utf8")).trim();
}

/** One request to the shared server with the operator's token and no key. */
export async function asOperator(method: string, path: string, body?: unknown): Promise<Answer> {
	const token = await adminToken(inject("server").dataDir);
	return rest(method, path, body, { "X-Admin-Token": token, "X-API-KEY": "" });
}
