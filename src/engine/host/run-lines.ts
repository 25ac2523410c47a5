/**
 * Runs long host programs whose output a person follows: each line is told as it comes, and the last ones are kept for
 * the error. A program has a process group of its own: Ctrl-C in the terminal does not reach it behind this process's
 * back, and an abort ends all of it.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { CommandError } from "../command.ts";

export interface RunLinesOptions {
	readonly signal: AbortSignal;
	/** Called for every line of standard output and standard error. */
	readonly onLine?: ((line: string) => void) | undefined;
	readonly cwd?: string | undefined;
	/** Complete environment of the program; the process's own unless told. */
	readonly env?: NodeJS.ProcessEnv | undefined;
	/** What errors call the program; its file and first arguments unless told. */
	readonly name?: string | undefined;
	/** What its processes get when `signal` is aborted; SIGTERM unless told. */
	readonly killSignal?: NodeJS.Signals;
}

const TAIL_LINES = 20;

/**
 * Resolves when the program exited with 0. @throws CommandError with the last lines of its output in `stderr`, or the
 * signal's reason when aborted, in both cases only when the program has gone
 */
export function runLines(file: string, args: readonly string[], options: RunLinesOptions): Promise<void> {
	const { signal, cwd, env, onLine, killSignal = "SIGTERM" } = options;
	signal.throwIfAborted();
	const child = spawn(file, args, {
		detached: true,
		stdio: ["ignore", "pipe", "pipe"],
		...(cwd === undefined ? {} : { cwd }),
		...(env === undefined ? {} : { env }),
	});
	const tail: string[] = [];
	for (const stream of [child.stdout, child.stderr]) {
		createInterface({ input: stream }).on("line", (line) => {
			tail.push(line);
			if (tail.length > TAIL_LINES) tail.shift();
			onLine?.(line);
		});
	}
	const onAbort = () => signalGroup(child.pid, killSignal);
	signal.addEventListener("abort", onAbort, { once: true });

	const { promise, resolve, reject } = Promise.withResolvers<void>();
	const fail = (what: string, code: number | undefined, cause?: unknown) => {
		const name = options.name ?? [file, ...args.slice(0, 3)].join(" ");
		const output = tail.join("\n");
		reject(new CommandError(`${name} ${what}${output === "" ? "" : `:\n${output}`}`, code, output, cause));
	};
	child.on("error", (error) => fail(`could not be started: ${error.message}`, undefined, error));
	child.on("close", (code, killedBy) => {
		if (signal.aborted) return reject(signal.reason);
		if (code === 0) return resolve();
		fail(killedBy ? `was killed by ${killedBy}` : `exited with ${code}`, code ?? undefined);
	});
	return promise.finally(() => signal.removeEventListener("abort", onAbort));
}

function signalGroup(leader: number | undefined, name: NodeJS.Signals): void {
	if (leader === undefined) return;
	try {
		process.kill(-leader, name);
	} catch {
		// No such group: it has ended.
	}
}
