/** Runs long host programs whose output a person follows: the latest line is told as it comes. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { CommandError } from "../command.ts";

export interface RunLinesOptions {
	readonly signal: AbortSignal;
	/** Called for every line of standard output and standard error. */
	readonly onLine: (line: string) => void;
	readonly cwd?: string;
	/** Complete environment of the program; the process's own unless told. */
	readonly env?: NodeJS.ProcessEnv;
}

const TAIL_LINES = 15;

/** Resolves when the program exited with 0. @throws CommandError with the last lines of its output */
export async function runLines(file: string, args: readonly string[], options: RunLinesOptions): Promise<void> {
	const child = spawn(file, args, {
		stdio: ["ignore", "pipe", "pipe"],
		signal: options.signal,
		...(options.cwd === undefined ? {} : { cwd: options.cwd }),
		...(options.env === undefined ? {} : { env: options.env }),
	});
	const tail: string[] = [];
	for (const stream of [child.stdout, child.stderr]) {
		createInterface({ input: stream }).on("line", (line) => {
			tail.push(line);
			if (tail.length > TAIL_LINES) tail.shift();
			options.onLine(line);
		});
	}
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	const fail = (what: string, code: number | undefined, cause?: unknown) =>
		reject(
			new CommandError(
				`${file} ${args.slice(0, 3).join(" ")} ${what}${tail.length > 0 ? `:\n${tail.join("\n")}` : ""}`,
				code,
				tail.join("\n"),
				cause,
			),
		);
	child.on("error", (error) => (options.signal.aborted ? reject(error) : fail(error.message, undefined, error)));
	child.on("close", (code, killedBy) => {
		if (code === 0) return resolve();
		fail(killedBy ? `was killed by ${killedBy}` : `exited with ${code}`, code ?? undefined);
	});
	return promise;
}
