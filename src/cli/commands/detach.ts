/**
 * Starts a server process that outlives this one. It writes to a log file and tells its progress over a channel that
 * closes when it is ready; until then it belongs to this process and ends with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile, rename } from "node:fs/promises";
import { flushCompileCache } from "node:module";
import { dirname, join } from "node:path";
import { type Static, Type } from "typebox";
import { Value } from "typebox/value";
import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import type { Progress, ProgressEvent, ProgressSink } from "../terminal/progress.ts";

const LOG = "server.log";
const LOG_TAIL_LINES = 20;

const title = Type.String();
const ms = Type.Number();
const MessageSchema = Type.Union([
	Type.Object({ kind: Type.Literal("started"), title }),
	Type.Object({ kind: Type.Literal("detail"), text: Type.String() }),
	Type.Object({ kind: Type.Literal("done"), title, ms }),
	Type.Object({ kind: Type.Literal("failed"), title, ms }),
	Type.Object({ kind: Type.Literal("note"), text: Type.String() }),
	Type.Object({ kind: Type.Literal("ready") }),
	/** The start failed; the message is for the user. */
	Type.Object({ kind: Type.Literal("refused"), message: Type.String() }),
]);
type Message = Static<typeof MessageSchema>;

/** Resolves when the server is ready. @throws OffshootError with the server's own words when it is not */
export async function startDetached(config: Config, progress: Progress, signal: AbortSignal): Promise<void> {
	const logPath = join(config.dataDir, LOG);
	await mkdir(config.dataDir, { recursive: true, mode: 0o711 });
	// One older log is kept: the reason of a crash must survive the restart after it.
	await rename(logPath, `${logPath}.1`).catch(() => {});
	const child = launch(config, logPath);
	const onAbort = () => child.kill("SIGINT");
	signal.addEventListener("abort", onAbort);
	try {
		await untilReady(child, progress, logPath);
	} finally {
		signal.removeEventListener("abort", onAbort);
	}
	signal.throwIfAborted();
	child.unref();
}

function launch(config: Config, logPath: string): ChildProcess {
	const log = openSync(logPath, "a", 0o600);
	try {
		const main = join(dirname(import.meta.dirname), "main.ts");
		return spawn(process.execPath, [...process.execArgv, main, "up", "--report-to-parent"], {
			detached: true,
			cwd: config.dataDir,
			stdio: ["ignore", log, log, "ipc"],
			// Relative paths were resolved here, and the server starts elsewhere.
			env: { NODE_COMPILE_CACHE: compileCache(config), ...process.env, ...resolvedPaths(config) },
		});
	} finally {
		closeSync(log);
	}
}

/** Where Node keeps the TypeScript that it compiled; the shell entry names the same directory for itself. */
function compileCache({ cacheDir }: Config): string {
	return join(cacheDir, "compiled");
}

function resolvedPaths({ dataDir, cacheDir, runscPath, tls }: Config): NodeJS.ProcessEnv {
	return {
		OFFSHOOT_DATA_DIR: dataDir,
		OFFSHOOT_CACHE_DIR: cacheDir,
		...(runscPath === undefined ? {} : { OFFSHOOT_RUNSC: runscPath }),
		...(tls?.files === undefined ? {} : { OFFSHOOT_TLS_CERT: tls.files.cert, OFFSHOOT_TLS_KEY: tls.files.key }),
	};
}

async function untilReady(child: ChildProcess, progress: Progress, logPath: string): Promise<void> {
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	const onMessage = (raw: unknown) => {
		if (!Value.Check(MessageSchema, raw)) return;
		if (raw.kind === "ready") resolve();
		else if (raw.kind === "refused") reject(new OffshootError("internal", raw.message));
		else progress.relay(raw);
	};
	child.on("message", onMessage);
	child.once("error", reject);
	child.once("exit", async (code, killedBy) => {
		const how = killedBy ? `was killed by ${killedBy}` : `ended with ${code}`;
		reject(new OffshootError("internal", `the server ${how} while it started; the end of ${logPath}:\n${await tailOf(logPath)}`));
	});
	try {
		await promise;
	} catch (error) {
		// Its last words were "refused"; it is about to end, and the data directory is free only when it has.
		if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
		throw error;
	} finally {
		child.removeAllListeners();
		if (child.connected) child.disconnect();
	}
}

async function tailOf(path: string): Promise<string> {
	const text = await readFile(path, "utf8").catch(() => "");
	return text.trimEnd().split("\n").slice(-LOG_TAIL_LINES).join("\n");
}

/** The server's end of the channel. */
export interface ParentChannel {
	readonly sink: ProgressSink;
	ready(): void;
	refused(message: string): void;
}

export function openParentChannel(): ParentChannel {
	const tell = (message: Message | ProgressEvent) => {
		// The parent may have gone: then nobody waits for the news.
		if (process.connected) process.send?.(message, () => {});
	};
	return {
		sink: tell,
		ready: () => {
			tell({ kind: "ready" });
			// By itself Node writes it when a process ends, and a server may be killed.
			flushCompileCache();
		},
		refused: (message) => tell({ kind: "refused", message }),
	};
}
