import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/**
 * A real server for tests: started, asked and ended through the command line as a user would, on a data directory and
 * a port of its own.
 */
export interface TestServer {
	readonly dataDir: string;
	readonly port: number;
	readonly url: string;
	readonly apiKey: string;
	/** What every SDK call needs to reach this server. */
	readonly sdk: { readonly apiKey: string; readonly apiUrl: string; readonly sandboxUrl: string };
	/** Environment for child processes that use an SDK. */
	readonly env: Readonly<Record<string, string>>;
	/** Runs one command of the command line against this server's data directory. */
	cli(...args: string[]): Promise<{ stdout: string; stderr: string }>;
	status(): Promise<ServerStatus>;
	/** Ends the server process without any chance to clean up. */
	killHard(): Promise<void>;
	/**
	 * Starts the server again on the same data directory.
	 * @param change another program or further settings, from this start on: an upgrade
	 */
	start(change?: ServerChange): Promise<void>;
	/** `down`, and removes the data directory. */
	destroy(): Promise<void>;
}

export interface ServerChange {
	/** `src/cli/main.ts` of another checkout. */
	readonly main?: string;
	readonly env?: Readonly<Record<string, string>>;
}

export interface ServerStatus {
	readonly pid: number;
	readonly instance: string;
	readonly sandboxes: { readonly running: number; readonly paused: number };
	readonly pools: { readonly containers: { readonly ready: number; readonly wanted: number } };
}

const execute = promisify(execFile);
const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");
const START_TIMEOUT_MS = 900_000;
/** Followed by the pid of the test process that owns the directory. */
const PREFIX = "offshoot-test-";

/** Ends servers of test processes that were killed, and removes what they had. */
export async function sweepTestServers(): Promise<void> {
	for (const name of await readdir(tmpdir())) {
		const owner = name.startsWith(PREFIX) ? Number(/^\d+(?=-)/.exec(name.slice(PREFIX.length))?.[0]) : Number.NaN;
		if (Number.isNaN(owner) || existsSync(`/proc/${owner}`)) continue;
		const dataDir = join(tmpdir(), name);
		await execute(process.execPath, [MAIN, "down"], {
			env: { ...process.env, OFFSHOOT_DATA_DIR: dataDir },
			timeout: START_TIMEOUT_MS,
		});
		await rm(dataDir, { recursive: true, force: true });
	}
}

/**
 * @param options.dataDir an existing directory, which stays when the server is destroyed; a temporary one unless given
 * @param options.env further settings
 * @param options.enter program with arguments that runs others in surroundings of the test, such as a namespace
 */
export async function startTestServer(
	options: {
		readonly dataDir?: string;
		readonly env?: Readonly<Record<string, string>>;
		readonly enter?: readonly string[];
	} = {},
): Promise<TestServer> {
	const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`)));
	const port = await freePort();
	let main = MAIN;
	let childEnv: NodeJS.ProcessEnv = { ...process.env, ...options.env, OFFSHOOT_DATA_DIR: dataDir, OFFSHOOT_PORT: String(port) };
	const [program = "", ...programArgs] = [...(options.enter ?? []), process.execPath];
	const cli = (...args: string[]) =>
		execute(program, [...programArgs, main, ...args], { env: childEnv, timeout: START_TIMEOUT_MS, maxBuffer: 1 << 26 });

	const destroy = async () => {
		await cli("down");
		if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
	};
	await cli("up", "--detach").catch(async (error) => {
		await destroy();
		throw error;
	});
	const exports = parseExports((await cli("env")).stdout);
	const apiKey = exports.E2B_API_KEY ?? "";
	const url = exports.E2B_API_URL ?? "";
	const status = async () => JSON.parse((await cli("status", "--json")).stdout) as ServerStatus;
	return {
		dataDir,
		port,
		url,
		apiKey,
		sdk: { apiKey, apiUrl: url, sandboxUrl: exports.E2B_SANDBOX_URL ?? "" },
		env: exports,
		cli,
		status,
		killHard: async () => {
			const { pid } = await status();
			process.kill(pid, "SIGKILL");
			await processEnd(pid);
		},
		start: async (change = {}) => {
			main = change.main ?? main;
			childEnv = { ...childEnv, ...change.env };
			await cli("up", "--detach");
		},
		destroy,
	};
}

/** Reads the lines that `offshoot env` prints for a shell. */
export function parseExports(text: string): Record<string, string> {
	const found: Record<string, string> = {};
	for (const [, name, value] of text.matchAll(/^export ([A-Z0-9_]+)=(.*)$/gm)) {
		if (name !== undefined && value !== undefined) found[name] = value.replace(/^'(.*)'$/, "$1");
	}
	return found;
}

export async function freePort(): Promise<number> {
	const server = createServer();
	const { promise, resolve } = Promise.withResolvers<void>();
	server.listen(0, "127.0.0.1", resolve);
	await promise;
	const address = server.address();
	server.close();
	if (address === null || typeof address === "string") throw new Error("no free port");
	return address.port;
}

/** Resolves when no process has this pid any more. */
async function processEnd(pid: number): Promise<void> {
	for (;;) {
		try {
			process.kill(pid, 0);
		} catch {
			return;
		}
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}
