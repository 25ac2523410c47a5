/** What the commands need from the server that `server.ts` composes. */
import type { EngineSource } from "../engine/index.ts";
import type { Config } from "./config.ts";
import type { Progress } from "./terminal/progress.ts";
import type { LoadedTls } from "./tls/load.ts";

export interface ServerOptions {
	readonly config: Config;
	/** Owned by this process: it holds the lock of the data directory. */
	readonly instanceId: string;
	/** First API key: the database must know its hash before the server listens. */
	readonly apiKey: string;
	/** Opens the operator's routes of the API. */
	readonly adminToken: string;
	readonly runsc: EngineSource;
	readonly tls: LoadedTls | undefined;
	/** For the long steps of a start: templates, adoption. */
	readonly progress: Progress;
}

/**
 * What becomes of sandboxes when their server ends: "keep" leaves them running to be adopted by the next server on the
 * same data directory; "end" ends them and records it.
 */
export type SandboxFate = "keep" | "end";

export interface RunningServer {
	/** Ends everything this process does. Safe to call once; resolves when nothing of the server runs any more. */
	stop(sandboxes: SandboxFate): Promise<void>;
}

/** Resolves when the server listens on `config.bind`:`config.port` and can create sandboxes. */
export type StartServer = (options: ServerOptions, signal: AbortSignal) => Promise<RunningServer>;

export interface HostTraces {
	readonly config: Config;
	readonly instanceId: string;
}

/**
 * Removes everything an instance has on the host (processes, namespaces, veths, nft tables, mounts, cgroups), whoever
 * left it there. Snapshots and paused sandboxes stay. The caller holds the lock of the data directory.
 */
export type CleanHost = (traces: HostTraces, signal: AbortSignal) => Promise<void>;
