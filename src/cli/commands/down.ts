import { isAlive } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { awaitInstanceLock, instanceOwner, type Owner } from "../instance/instance-lock.ts";
import { readInstanceId } from "../instance/secrets.ts";
import { removeServerFile } from "../instance/server-file.ts";
import { requireRoot } from "../prepare/index.ts";
import { cleanHost } from "../server.ts";
import { Progress } from "../terminal/progress.ts";
import { showProgress } from "../terminal/show.ts";

/** A server with many sandboxes needs a while to end them all. */
const STOP_TIMEOUT_MS = 60_000;
/** After it was killed, only the kernel has to act. */
const KILL_TIMEOUT_MS = 10_000;

/**
 * Ends the server and its sandboxes and leaves nothing on the host; works as well when the server was killed. Afterwards
 * the data directory holds what was snapshotted or paused.
 */
export async function down(config: Config, signal: AbortSignal): Promise<void> {
	requireRoot("down");
	const instanceId = await readInstanceId(config.dataDir);
	if (instanceId === undefined) {
		process.stderr.write(`nothing to do: ${config.dataDir} has never had a server\n`);
		return;
	}
	const progress = new Progress(showProgress(process.stderr));
	const owner = await instanceOwner(config.dataDir);
	if (owner === undefined) process.stderr.write(`No server runs on ${config.dataDir}.\n`);
	else await progress.step(`Ending the server (process ${owner.pid})`, () => stop(config, owner, signal));
	const left = owner === undefined ? "Removing what a killed one may have left" : "Removing what sandboxes have on this host";
	await progress.step(left, async () => {
		const limit = AbortSignal.any([signal, AbortSignal.timeout(KILL_TIMEOUT_MS)]);
		using _lock = await awaitInstanceLock(config.dataDir, { state: "stopping" }, limit);
		await cleanHost({ config, instanceId }, signal);
		await removeServerFile(config.dataDir);
	});
	process.stderr.write(`Snapshots and paused sandboxes are kept in ${config.dataDir}.\n`);
}

async function stop(config: Config, owner: Owner, signal: AbortSignal): Promise<void> {
	for (const [name, timeoutMs] of [
		["SIGINT", STOP_TIMEOUT_MS],
		["SIGKILL", KILL_TIMEOUT_MS],
	] as const) {
		if (isAlive(owner)) process.kill(owner.pid, name);
		if (await isFree(config.dataDir, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]))) return;
		signal.throwIfAborted();
	}
	throw new OffshootError(
		"timed_out",
		`process ${owner.pid} does not end. FIX: look at it with ps -o stat,wchan -p ${owner.pid}`,
	);
}

async function isFree(dataDir: string, limit: AbortSignal): Promise<boolean> {
	try {
		using _lock = await awaitInstanceLock(dataDir, { state: "stopping" }, limit);
		return true;
	} catch (error) {
		if (limit.aborted) return false;
		throw error;
	}
}
