import { statfs } from "node:fs/promises";
import { readUsage, type StoreUsage } from "../../store/index.ts";
import type { Config } from "../config.ts";
import { instanceOwner } from "../instance/instance-lock.ts";
import { type OperatorStatus, readOperatorStatus } from "../instance/operator-socket.ts";
import { runningServer } from "../instance/server-file.ts";
import { paint } from "../terminal/show.ts";
import { formatBytes } from "../terminal/table.ts";

export interface Status {
	/** `unhealthy`: there is a server, and it does not answer. */
	readonly state: "running" | "unhealthy" | "starting" | "stopping" | "stopped";
	/** Whether there is a server that clients should reach. */
	readonly running: boolean;
	readonly dataDir: string;
	readonly pid?: number;
	/** What a server that starts or stops is at. */
	readonly step?: string;
	readonly url?: string;
	readonly startedAt?: string;
	readonly healthy?: boolean;
	readonly instance?: string;
	readonly sandboxes?: OperatorStatus["sandboxes"];
	readonly pools?: OperatorStatus["pools"];
	/** Absent where this user may not look. */
	readonly stored?: StoreUsage;
	/** Bytes free for more. */
	readonly freeBytes?: number;
}

const ANSWER_TIMEOUT_MS = 5000;

/** What a service manager expects of a status command (3), and a value of its own for what is about to change. */
const EXIT_CODES = { running: 0, unhealthy: 3, stopped: 3, starting: 4, stopping: 4 } as const;

export async function status(config: Config, options: { readonly json: boolean }, signal: AbortSignal): Promise<number> {
	const current = { ...(await readServer(config, signal)), ...(await readDisk(config.dataDir)) };
	process.stdout.write(options.json ? `${JSON.stringify(current, null, 2)}\n` : formatStatus(current));
	return EXIT_CODES[current.state];
}

async function readServer({ dataDir }: Config, signal: AbortSignal): Promise<Status> {
	const server = await runningServer(dataDir);
	if (server === undefined) {
		const owner = await instanceOwner(dataDir);
		if (owner?.activity === undefined) return { state: "stopped", running: false, dataDir };
		return { ...owner.activity, running: false, dataDir, pid: owner.pid };
	}
	const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
	const healthy = await fetch(`${server.url}/health`, { signal: limit }).then(
		(response) => response.ok,
		() => false,
	);
	const details = healthy ? await readOperatorStatus(server.instanceId, limit) : undefined;
	const { url, startedAt, process, instanceId } = server;
	const state = healthy ? "running" : "unhealthy";
	return { state, running: true, dataDir, url, pid: process.pid, instance: instanceId, startedAt, healthy, ...details };
}

/** What lies in a data directory is there without a server as well. */
async function readDisk(dataDir: string): Promise<Pick<Status, "stored" | "freeBytes">> {
	try {
		const [stored, { bavail, bsize }] = await Promise.all([readUsage(dataDir), statfs(dataDir)]);
		return { stored, freeBytes: bavail * bsize };
	} catch {
		// No directory yet, or one that is for root's eyes.
		return {};
	}
}

function formatStatus(current: Status): string {
	const { state, dataDir, url, pid, startedAt, sandboxes, pools } = current;
	const lines = [
		headline(current),
		...(url === undefined ? [] : [`  address    ${url}`]),
		...(startedAt === undefined ? [] : [`  process    ${pid}, since ${startedAt}`]),
		`  data       ${dataDir}`,
		...(sandboxes === undefined ? [] : [`  sandboxes  ${sandboxes.running} running, ${sandboxes.paused} paused`]),
		...(pools === undefined ? [] : [`  ready      ${describePools(pools)}`]),
		...storedLines(current),
		...(url === undefined ? [] : [`  log        ${dataDir}/server.log, when started with --detach`]),
		...(state === "stopped" ? ["Start it: ./offshoot up --detach"] : []),
		...(state === "unhealthy" ? ["Look at the log, or restart it: ./offshoot down && ./offshoot up --detach"] : []),
	];
	return `${lines.join("\n")}\n`;
}

function headline({ state, step, pid }: Status): string {
	const at = `(process ${pid}${step === undefined ? "" : `, at: ${step}`})`;
	switch (state) {
		case "running":
			return paint(process.stdout, "green", "Offshoot is running.");
		case "unhealthy":
			return paint(process.stdout, "red", "Offshoot runs but does not answer.");
		case "starting":
			return paint(process.stdout, "yellow", `Offshoot is starting ${at}.`);
		case "stopping":
			return paint(process.stdout, "yellow", `Offshoot is stopping ${at}.`);
		case "stopped":
			return "Offshoot is not running.";
	}
}

function describePools({ containers, slots }: OperatorStatus["pools"]): string {
	return `${containers.ready} of ${containers.wanted} containers made ahead, ${slots.free} network slots`;
}

function storedLines({ stored, freeBytes }: Status): readonly string[] {
	if (stored === undefined || freeBytes === undefined) return [];
	const { snapshot, pause, template } = stored;
	return [
		`  snapshots  ${snapshot.count}, ${formatBytes(snapshot.bytes)}`,
		`  paused     ${pause.count}, ${formatBytes(pause.bytes)}`,
		`  templates  ${template.count}, ${formatBytes(template.bytes)}`,
		`  disk       ${formatBytes(freeBytes)} free`,
	];
}
