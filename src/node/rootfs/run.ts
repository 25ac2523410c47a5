/** Runs the programs of a build so that none outlives this process: not after an abort, not after a crash. */
import { type RunLinesOptions, runLines } from "../../engine/index.ts";

export type RunOptions = Omit<RunLinesOptions, "killSignal">;

type Program = readonly [string, ...string[]];

/** Runs `command` to its end. @throws CommandError, or the signal's reason when aborted, after the program has gone */
export function run(command: Program, options: RunOptions): Promise<void> {
	// The umask is fixed, so that a tree doesn't depend on whose shell started the build.
	const tied = ["--pdeathsig", "KILL", "--", "sh", "-c", 'umask 022; exec "$@"', "sh", ...command];
	return runLines("setpriv", tied, { ...options, name: options.name ?? command[0], killSignal: "SIGKILL" });
}

/** Like run, with every process and mount of the command in namespaces that end with it, however it ends. */
export function runIsolated(command: Program, options: RunOptions): Promise<void> {
	const namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"] as const;
	return run([...namespaces, ...command], { ...options, name: options.name ?? command[0] });
}
