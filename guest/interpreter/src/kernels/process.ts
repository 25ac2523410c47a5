/**
 * The operating system's side of a kernel: a process that leads a group of its own (so that an interrupt also reaches
 * the programs it started) and dies with the interpreter, even if that is killed.
 */

import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { KernelUnavailable } from "./kernel.ts";

const SETPRIV = "/usr/bin/setpriv";
const DIE_WITH_PARENT: readonly string[] = existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "KILL"] : [];

/** The `cgroup.procs` of what users start; undefined where there is no such group. */
const PROGRAMS = process.env.OFFSHOOT_PROGRAMS;

/** Last part of what a kernel wrote before it died, kept for the error message. Characters. */
const KEPT_DIAGNOSTICS = 4_000;

export interface ProcessOptions {
	readonly command: readonly string[];
	readonly cwd: string;
	readonly environment: Readonly<Record<string, string>>;
	readonly stdio: StdioOptions;
}

export interface ProcessEnd {
	/** Null if a signal ended it. */
	readonly exitCode: number | null;
}

export class KernelProcess {
	readonly pid: number;
	readonly ended: Promise<ProcessEnd>;
	/** Resolves when what the process starts counts for the sandbox's limit of processes: no code of a user may run before. */
	readonly joined: Promise<void>;
	readonly #child: ChildProcess;
	#running = true;

	private constructor(child: ChildProcess, pid: number) {
		this.#child = child;
		this.pid = pid;
		this.ended = new Promise((resolve) => {
			child.once("exit", (exitCode) => {
				this.#running = false;
				resolve({ exitCode });
			});
		});
		this.joined = joinPrograms(pid);
	}

	/**
	 * Starts the process. Rejects with KernelUnavailable if the directory or the program is missing.
	 *
	 * Nothing that takes time may stand between the start and whoever listens: a process that ends at once would end unheard,
	 * and Node throws away what it wrote if nobody reads it by then.
	 */
	static async start(options: ProcessOptions): Promise<KernelProcess> {
		await requireDirectory(options.cwd);
		const [program, ...args] = [...DIE_WITH_PARENT, ...options.command];
		if (program === undefined) throw new KernelUnavailable("the kernel's command is empty");
		const child = spawn(program, args, {
			cwd: options.cwd,
			env: options.environment,
			stdio: options.stdio,
			detached: true,
		});
		await new Promise<void>((resolve, reject) => {
			child.once("spawn", resolve);
			child.once("error", (error) => reject(new KernelUnavailable(`${program}: ${error.message}`, { cause: error })));
		});
		if (child.pid === undefined) throw new KernelUnavailable(`${program}: no process was started`);
		return new KernelProcess(child, child.pid);
	}

	/** A pipe from the process; throws if descriptor `fd` was not opened as one. */
	output(fd: number): Readable {
		const stream = this.#child.stdio[fd];
		if (!stream || !("read" in stream)) throw new Error(`descriptor ${fd} is not readable`);
		return stream;
	}

	/** A pipe to the process; throws if descriptor `fd` was not opened as one. */
	input(fd: number): Writable {
		const stream = this.#child.stdio[fd];
		if (!stream || !("write" in stream)) throw new Error(`descriptor ${fd} is not writable`);
		return stream;
	}

	/** Signals the process and the programs it started in its group. */
	signalGroup(name: NodeJS.Signals): void {
		if (!this.#running) return;
		try {
			process.kill(-this.pid, name);
		} catch {
			// It ended between the check and the call.
		}
	}

	/** Signals the process alone. */
	signal(name: NodeJS.Signals): void {
		if (this.#running) this.#child.kill(name);
	}

	/** Ends the whole group at once; resolves when the process is gone. */
	async kill(): Promise<void> {
		this.signalGroup("SIGKILL");
		await this.ended;
	}
}

/** Collects the end of what comes out of `streams`. */
export function collectDiagnostics(...streams: Readable[]): () => string {
	let text = "";
	for (const stream of streams) {
		stream.setEncoding("utf8");
		stream.on("data", (chunk: string) => {
			text = (text + chunk).slice(-KEPT_DIAGNOSTICS);
		});
	}
	return () => text.trim();
}

/** Whatever the kernel starts is a member as well: it counts for the sandbox's limit of processes. */
async function joinPrograms(pid: number): Promise<void> {
	// One that has ended already is its user's to hear of; a guest without the group has no limit.
	if (PROGRAMS !== undefined) await writeFile(PROGRAMS, String(pid), { flag: "r+" }).catch(() => undefined);
}

async function requireDirectory(path: string): Promise<void> {
	const found = await stat(path).catch(() => undefined);
	if (!found?.isDirectory()) throw new KernelUnavailable(`cwd: "${path}" is not a directory`);
}
