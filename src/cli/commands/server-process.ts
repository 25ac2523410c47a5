/**
 * The life of a server process, from the lock on its data directory to its last signal. Guarantees: one server per data
 * directory; `server.json` exists exactly while the server can be used; every way out releases the lock.
 */

import { identifyProcess } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { checkPort } from "../doctor/host-checks.ts";
import { probePort } from "../doctor/probes.ts";
import { type Activity, lockInstance } from "../instance/instance-lock.ts";
import { ensureAdminToken, ensureApiKey, ensureInstanceId } from "../instance/secrets.ts";
import { removeServerFile, type ServerFile, writeServerFile } from "../instance/server-file.ts";
import { preparePackages, prepareRunsc } from "../prepare/index.ts";
import type { CleanHost, RunningServer, SandboxFate, StartServer } from "../server-contract.ts";
import type { Progress } from "../terminal/progress.ts";
import { type LoadedTls, loadTls } from "../tls/load.ts";

export interface ServerProcess {
	readonly config: Config;
	readonly progress: Progress;
	readonly startServer: StartServer;
	readonly cleanHost: CleanHost;
	/** Called once, when clients can use the server. */
	readonly onReady: (server: ServerFile) => Promise<void>;
	/** Resolves when the server is to end, with what becomes of its sandboxes. */
	readonly untilStopped: Promise<SandboxFate>;
}

const CLEAN_TIMEOUT_MS = 60_000;

/** @param signal aborted, together with `untilStopped`, when the server is to end while it still starts */
export async function runServerProcess(options: ServerProcess, signal: AbortSignal): Promise<void> {
	const { config, progress } = options;
	let state: Activity["state"] = "starting";
	using lock = await lockInstance(config.dataDir, { state: "starting" });
	progress.observe((event) => {
		if (event.kind === "started") lock.tell({ state, step: event.title });
	});
	await requirePorts(config);
	const tls = await loadTls(config, signal);
	await preparePackages(progress, signal);
	const runsc = await prepareRunsc(config, progress, signal);
	const [instanceId, apiKey] = [await ensureInstanceId(config.dataDir), await ensureApiKey(config.dataDir)];
	const adminToken = await ensureAdminToken(config.dataDir);
	const server = await options
		.startServer({ config, instanceId, apiKey, adminToken, runsc, tls, progress }, signal)
		.catch(async (error) => {
			// What an interrupted start made ahead, and what it adopted, would wait for a next server that may never come.
			if (signal.aborted && (await options.untilStopped) === "end") await clean(options, instanceId);
			throw error;
		});
	try {
		const self = identifyProcess(process.pid);
		if (self === undefined) throw new Error("this process is not in /proc");
		const startedAt = new Date().toISOString();
		const file = { process: self, instanceId, url: clientUrl(config), startedAt, ...(tls && { tls: announced(tls) }) };
		await writeServerFile(config.dataDir, file);
		lock.tell(undefined);
		await options.onReady(file);
		const fate = await options.untilStopped;
		state = "stopping";
		await end(options, server, instanceId, fate);
	} finally {
		await removeServerFile(config.dataDir);
	}
}

async function end(options: ServerProcess, server: RunningServer, instanceId: string, fate: SandboxFate): Promise<void> {
	const { config, progress } = options;
	// From here on nobody should be sent to this server any more.
	await removeServerFile(config.dataDir);
	const title = fate === "end" ? "Ending the server and its sandboxes" : "Ending the server; sandboxes go on running";
	await progress.step(title, async () => {
		await server.stop(fate);
		if (fate === "end") await clean(options, instanceId);
	});
}

function clean({ config, cleanHost }: ServerProcess, instanceId: string): Promise<void> {
	return cleanHost({ config, instanceId }, AbortSignal.timeout(CLEAN_TIMEOUT_MS));
}

/** Found out before the long steps, not after them. */
async function requirePorts({ bind, port, tls }: Config): Promise<void> {
	for (const each of tls === undefined ? [port] : [port, tls.port]) {
		const finding = checkPort({ bind, port: each, ownServer: undefined, error: await probePort(bind, each) });
		if (finding.status !== "ok") throw new OffshootError("conflict", `${finding.reason}. FIX: ${finding.fix}`);
	}
}

function announced({ domain, authority }: LoadedTls): NonNullable<ServerFile["tls"]> {
	return authority === undefined ? { domain } : { domain, authority };
}

/** Where clients on this machine reach the server. */
export function clientUrl({ bind, port }: Pick<Config, "bind" | "port">): string {
	const loopback: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "[::1]" };
	const host = loopback[bind] ?? (bind.includes(":") ? `[${bind}]` : bind);
	return `http://${host}:${port}`;
}
