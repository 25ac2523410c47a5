import type { Config } from "../config.ts";
import { type OperatorStatus, readOperatorStatus } from "../instance/operator-socket.ts";
import { runningServer, type ServerFile } from "../instance/server-file.ts";
import { paint } from "../terminal/show.ts";

export interface Status {
	readonly running: boolean;
	readonly dataDir: string;
	readonly url?: string;
	readonly pid?: number;
	readonly startedAt?: string;
	/** Whether it answers; a server may run and yet not. */
	readonly healthy?: boolean;
	readonly instance?: string;
	readonly sandboxes?: OperatorStatus["sandboxes"];
	readonly pools?: OperatorStatus["pools"];
}

const ANSWER_TIMEOUT_MS = 5000;

async function readStatus(config: Config, signal: AbortSignal): Promise<Status> {
	const server = await runningServer(config.dataDir);
	if (server === undefined) return { running: false, dataDir: config.dataDir };
	const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
	const healthy = await fetch(`${server.url}/health`, { signal: limit }).then(
		(response) => response.ok,
		() => false,
	);
	const details = healthy ? await readOperatorStatus(server.instanceId, limit) : undefined;
	return { ...describe(config, server), healthy, ...details };
}

function describe(config: Config, { url, startedAt, process, instanceId }: ServerFile) {
	return { running: true, dataDir: config.dataDir, url, pid: process.pid, instance: instanceId, startedAt };
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
	const { sandboxes: counts, pools } = current;
	return [
		head,
		`  address    ${current.url}`,
		`  process    ${current.pid}, since ${current.startedAt}`,
		`  data       ${current.dataDir}`,
		...(counts === undefined ? [] : [`  sandboxes  ${counts.running} running, ${counts.paused} paused`]),
		...(pools === undefined
			? []
			: [
					`  ready      ${pools.containers.ready} of ${pools.containers.wanted} containers made ahead, ${pools.slots.free} network slots`,
				]),
		...(current.healthy
			? []
			: [`Look at ${current.dataDir}/server.log, or restart it: ./offshoot down && ./offshoot up --detach`]),
		"",
	].join("\n");
}
