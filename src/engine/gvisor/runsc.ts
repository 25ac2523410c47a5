import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { CommandError, type CommandResult, run } from "../command.ts";

/**
 * One runsc binary with the flags every call needs. A call that leaves processes behind (create, restore, run) never
 * hands them a pipe: a detached sandbox would hold it open for its whole life.
 */
export interface RunscOptions {
	readonly binary: string;
	/** runsc's state directory; lost at a reboot, like the containers it describes. */
	readonly stateDir: string;
	/** Flags that depend on how the binary was obtained. */
	readonly extraFlags: readonly string[];
	/** False where the host has no cgroups that runsc could use. */
	readonly cgroups: boolean;
}

export interface Runsc {
	/** Runs a command that ends by itself. @param flags global flags beyond the usual ones */
	call(args: readonly string[], signal: AbortSignal, flags?: readonly string[]): Promise<CommandResult>;
	/** Runs a command whose sandbox lives on; its messages go to `logFile` and, on failure, into the error. */
	launch(args: readonly string[], logFile: string, signal: AbortSignal, flags?: readonly string[]): Promise<void>;
}

const COMMON_FLAGS = [
	"--platform=systrap",
	"--network=sandbox",
	// sudo in the guest needs set-user-id programs to work.
	"--allow-suid",
	"--net-raw",
	// Under the older version a limit of processes is heeded by some forks only.
	"--in-sandbox-cgroup=v2",
];

export function createRunsc(options: RunscOptions): Runsc {
	const cgroups = options.cgroups ? [] : ["--ignore-cgroups"];
	const flags = [`--root=${options.stateDir}`, ...COMMON_FLAGS, ...cgroups, ...options.extraFlags];
	return {
		call: (args, signal, more = []) => run(options.binary, [...flags, ...more, ...args], { signal }),
		launch: (args, logFile, signal, more = []) => launch(options.binary, [...flags, ...more, ...args], logFile, signal),
	};
}

async function launch(binary: string, args: readonly string[], logFile: string, signal: AbortSignal): Promise<void> {
	const log = openSync(logFile, "a", 0o600);
	const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
	try {
		const child = spawn(binary, args, { stdio: ["ignore", log, log], signal, killSignal: "SIGKILL" });
		child.on("error", reject);
		child.on("exit", (code) => resolve(code ?? undefined));
	} finally {
		closeSync(log);
	}
	const code = await promise;
	if (code === 0) return;
	const messages = await readFile(logFile, "utf8").catch(() => "");
	const tail = messages.trim().split("\n").slice(-5).join("\n");
	throw new CommandError(`runsc ${args.find((arg) => !arg.startsWith("-"))} exited with ${code}: ${tail}`, code, messages);
}
