/**
 * Runs one program and guarantees that it does not outlive this process: not an abort, not a crash. Its last lines of
 * output are kept, so that a failure can show them.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const TAIL_LINES = 20;

export interface RunOptions {
	readonly signal: AbortSignal;
	/** Complete environment of the program. */
	readonly env?: NodeJS.ProcessEnv;
	readonly cwd?: string;
	/** What errors call the program; its own name otherwise. */
	readonly name?: string;
	/** Sees every line of standard output and standard error. */
	readonly onLine?: (line: string) => void;
}

/** A program that could not be started or ended with another code than 0. */
export class ProgramFailure extends Error {
	override readonly name = "ProgramFailure";
	readonly program: string;
	/** Last lines of its output. */
	readonly tail: readonly string[];

	constructor(program: string, reason: string, tail: readonly string[]) {
		super(`${program} ${reason}`);
		this.program = program;
		this.tail = tail;
	}
}

/**
 * Runs `command` to its end and returns the last lines of its output. Throws ProgramFailure, or the signal's reason
 * when aborted: the program is killed then, and the promise settles only after it has gone.
 */
export function run(command: readonly [string, ...string[]], options: RunOptions): Promise<readonly string[]> {
	options.signal.throwIfAborted();
	return spawnTied(command, { ...options, name: options.name ?? command[0] });
}

/** Like run, with every process and mount of the command in namespaces that end with it, however it ends. */
export function runIsolated(command: readonly [string, ...string[]], options: RunOptions): Promise<readonly string[]> {
	const namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"] as const;
	return run([...namespaces, ...command], { ...options, name: options.name ?? command[0] });
}

function spawnTied(
	command: readonly [string, ...string[]],
	options: RunOptions & { readonly name: string },
): Promise<readonly string[]> {
	const tail: string[] = [];
	const remember = (line: string): void => {
		tail.push(line);
		if (tail.length > TAIL_LINES) tail.shift();
		options.onLine?.(line);
	};
	// A process group of its own keeps the terminal's Ctrl-C away from the program: this process decides when it ends.
	// The umask is fixed, so that a tree doesn't depend on whose shell started the build.
	const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", "sh", "-c", 'umask 022; exec "$@"', "sh", ...command], {
		detached: true,
		stdio: ["ignore", "pipe", "pipe"],
		...(options.env && { env: options.env }),
		...(options.cwd && { cwd: options.cwd }),
	});
	createInterface({ input: child.stdout }).on("line", remember);
	createInterface({ input: child.stderr }).on("line", remember);
	const kill = (): void => killGroup(child.pid);
	options.signal.addEventListener("abort", kill, { once: true });

	const ended = Promise.withResolvers<readonly string[]>();
	child.on("error", (error) => ended.reject(new ProgramFailure(options.name, `could not be started: ${error.message}`, tail)));
	child.on("close", (code, killedBy) => {
		if (options.signal.aborted) ended.reject(options.signal.reason);
		else if (code === 0) ended.resolve(tail);
		else ended.reject(new ProgramFailure(options.name, `ended with ${killedBy ?? `code ${code}`}`, tail));
	});
	return ended.promise.finally(() => options.signal.removeEventListener("abort", kill));
}

/** Kills a process that leads a group, with all its group. No error when it has ended. */
export function killGroup(pid: number | undefined): void {
	if (pid === undefined) return;
	try {
		process.kill(-pid, "SIGKILL");
	} catch {
		// No such group: it has ended.
	}
}
