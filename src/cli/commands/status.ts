import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { runningServer, type ServerFile } from "../instance/server-file.ts";
import { paint } from "../terminal/show.ts";
import { serverEnvironment } from "./env.ts";

export interface Status {
	readonly running: boolean;
	readonly dataDir: string;
	readonly url?: string;
	readonly pid?: number;
	readonly startedAt?: string;
	/** Whether it answers; a server may run and yet not. */
	readonly healthy?: boolean;
	readonly sandboxes?: SandboxCounts;
}

interface SandboxCounts {
	readonly running: number;
	readonly paused: number;
}

const ANSWER_TIMEOUT_MS = 5000;

export async function readStatus(config: Config, signal: AbortSignal): Promise<Status> {
	const server = await runningServer(config.dataDir);
	if (server === undefined) return { running: false, dataDir: config.dataDir };
	const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
	const healthy = await fetch(`${server.url}/health`, { signal: limit }).then(
		(response) => response.ok,
		() => false,
	);
	const sandboxes = healthy ? await countSandboxes(config, limit).catch(() => undefined) : undefined;
	return { ...describe(config, server), healthy, ...(sandboxes === undefined ? {} : { sandboxes }) };
}

function describe(config: Config, server: ServerFile) {
	const { url, startedAt, process } = server;
	return { running: true, dataDir: config.dataDir, url, pid: process.pid, startedAt };
}

/** Through the public REST API, like any client. */
async function countSandboxes(config: Config, signal: AbortSignal): Promise<SandboxCounts> {
	const { E2B_API_URL, E2B_API_KEY } = await serverEnvironment(config);
	const list = async (state: string, nextToken: string) => {
		const query = new URLSearchParams({ state, limit: "100", ...(nextToken === "" ? {} : { nextToken }) });
		const response = await fetch(`${E2B_API_URL}/v2/sandboxes?${query}`, { headers: { "X-API-Key": E2B_API_KEY }, signal });
		if (!response.ok) throw new OffshootError("internal", `listing sandboxes was answered with ${response.status}`);
		const items: unknown = await response.json();
		return { count: Array.isArray(items) ? items.length : 0, next: response.headers.get("x-next-token") ?? "" };
	};
	const count = async (state: string) => {
		let total = 0;
		let next = "";
		do {
			const page = await list(state, next);
			total += page.count;
			next = page.next;
		} while (next !== "");
		return total;
	};
	return { running: await count("running"), paused: await count("paused") };
}

/** Exit code 0 when a healthy server runs, 3 otherwise (as service managers expect of a status command). */
export async function status(config: Config, options: { readonly json: boolean }, signal: AbortSignal): Promise<number> {
	const current = await readStatus(config, signal);
	process.stdout.write(options.json ? `${JSON.stringify(current, null, 2)}\n` : formatStatus(current));
	return current.running && current.healthy ? 0 : 3;
}

function formatStatus(current: Status): string {
	if (!current.running) return `Offshoot is not running on ${current.dataDir}.\nStart it: ./offshoot up --detach\n`;
	const head = current.healthy
		? paint(process.stdout, "green", "Offshoot is running.")
		: paint(process.stdout, "red", "Offshoot runs but does not answer.");
	const counts = current.sandboxes;
	return [
		head,
		`  address    ${current.url}`,
		`  process    ${current.pid}, since ${current.startedAt}`,
		`  data       ${current.dataDir}`,
		...(counts === undefined ? [] : [`  sandboxes  ${counts.running} running, ${counts.paused} paused`]),
		...(current.healthy
			? []
			: [`Look at ${current.dataDir}/server.log, or restart it: ./offshoot down && ./offshoot up --detach`]),
		"",
	].join("\n");
}
