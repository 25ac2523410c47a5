import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startTestServer, type TestServer } from "../../tests/support/server.ts";

/** A server of its own for one benchmark; the SDK finds it through the environment. */
export async function withServer<T>(work: (server: TestServer) => Promise<T>): Promise<T> {
	const server = await startTestServer();
	Object.assign(process.env, server.env);
	try {
		return await work(server);
	} finally {
		await server.destroy();
	}
}

/**
 * Resolves when the server has refilled its pool after the work before: neither the product nor the baseline is to be
 * measured beside that.
 */
export async function settle(server: TestServer): Promise<void> {
	for (;;) {
		const { ready, wanted } = (await server.status()).pools.containers;
		if (ready >= wanted) return;
		await sleep(SETTLE_PAUSE_MS);
	}
}

const SETTLE_PAUSE_MS = 100;

/** Id of the newest published artifact of a kind; the server must be quiet. */
export async function newestArtifact(dataDir: string, kind: "template" | "snapshot", templateName?: string): Promise<string> {
	const dir = join(dataDir, "artifacts");
	const manifests: { id: string; kind: string; createdAt: string; templateName?: string }[] = [];
	for (const name of await readdir(dir)) {
		if (!name.startsWith(".")) manifests.push(JSON.parse(await readFile(join(dir, name, "manifest.json"), "utf8")));
	}
	const found = manifests
		.filter((manifest) => manifest.kind === kind && (templateName === undefined || manifest.templateName === templateName))
		.sort((a, b) => b.createdAt.localeCompare(a.createdAt))[0];
	if (found === undefined) throw new Error(`no ${kind} artifact in ${dir}`);
	return found.id;
}

/** What the server keeps on this host of a running sandbox. */
export interface HostRecord {
	readonly sandboxId: string;
	/** The sandbox's first process on this host. */
	readonly pid: number;
	/** The guest's address on this host. */
	readonly slot: { readonly address: string };
}

export async function hostRecord(instance: string, sandboxId: string): Promise<HostRecord> {
	const dir = `/run/offshoot/${instance}/containers`;
	for (const name of await readdir(dir)) {
		const record: HostRecord = JSON.parse(await readFile(join(dir, name), "utf8"));
		if (record.sandboxId === sandboxId) return record;
	}
	throw new Error(`${dir} has no record of ${sandboxId}`);
}
