import { spawn } from "node:child_process";

/**
 * Runs host programs (ip, nft, runsc). A program that is aborted or takes too long is killed; output is kept whole, so
 * this is for commands that print little.
 */
export interface CommandOptions {
	readonly signal: AbortSignal;
	/** Written to standard input; without it standard input is /dev/null. */
	readonly input?: string;
	/** ms until the program is killed; 60,000 unless told. */
	readonly timeoutMs?: number;
}

export interface CommandResult {
	readonly stdout: string;
	readonly stderr: string;
}

/** A program that could not be started, was killed, or exited with another code than 0. */
export class CommandError extends Error {
	override readonly name = "CommandError";
	/** Undefined when the program was killed or never ran. */
	readonly exitCode: number | undefined;
	readonly stderr: string;

	constructor(message: string, exitCode: number | undefined, stderr: string, cause?: unknown) {
		super(message, cause === undefined ? undefined : { cause });
		this.exitCode = exitCode;
		this.stderr = stderr;
	}
}

const DEFAULT_TIMEOUT_MS = 60_000;
const STDERR_LINES = 5;

/** Runs `file` to its end. @throws CommandError */
export function run(file: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> {
	const { promise, resolve, reject } = Promise.withResolvers<CommandResult>();
	const child = spawn(file, args, {
		stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
		signal: AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS)]),
		killSignal: "SIGKILL",
	});
	const stdout: Buffer[] = [];
	const stderr: Buffer[] = [];
	child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
	child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
	// A program that ends before it read its input closes the pipe; its exit code tells the story.
	child.stdin?.on("error", () => {});
	child.stdin?.end(options.input);

	const describe = (what: string) => {
		const tail = Buffer.concat(stderr).toString().trim().split("\n").slice(-STDERR_LINES).join("\n");
		return `${file} ${args.slice(0, 3).join(" ")} ${what}${tail === "" ? "" : `: ${tail}`}`;
	};
	child.on("error", (error) => {
		reject(new CommandError(describe(error.message), undefined, Buffer.concat(stderr).toString(), error));
	});
	child.on("close", (code, killedBy) => {
		const errors = Buffer.concat(stderr).toString();
		if (code === 0) return resolve({ stdout: Buffer.concat(stdout).toString(), stderr: errors });
		reject(new CommandError(describe(killedBy ? `was killed by ${killedBy}` : `exited with ${code}`), code ?? undefined, errors));
	});
	return promise;
}
