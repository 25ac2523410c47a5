/**
 * A bash kernel: one long-lived interactive shell without a terminal, so that an interrupt drops the running cell and
 * keeps variables, functions and directory. Cells are `eval`ed; markers in both output streams tell where a cell ends.
 */

import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { abortable } from "../../abortable.ts";
import type { Emit } from "../../events.ts";
import { randomBytes } from "../../random.ts";
import {
	type EnvironmentChanges,
	interruptOnAbort,
	type Kernel,
	KernelGone,
	KernelUnavailable,
	type LaunchOptions,
} from "../kernel.ts";
import { KernelProcess } from "../process.ts";
import { MarkerSplitter } from "./marker.ts";

const SHELL = ["bash", "--noprofile", "--norc", "--noediting", "-i"];

/**
 * Silent and predictable: no prompts, no word of jobs that end (of one that begins an interactive shell always tells the
 * number), no history expansion of `!`, and no history: it would keep the variables of a run. Descriptors 198 and 199 keep
 * the kernel's own outputs when a cell redirects those of the shell.
 */
const SETUP =
	"PS1= PS2= PROMPT_COMMAND=; unset HISTFILE; set +m +H +o history; history -c; shopt -s expand_aliases; exec 198>&1 199>&2";

interface Part {
	readonly emit: Emit;
	/** Exit status of the part. */
	readonly done: PromiseWithResolvers<number>;
	openStreams: number;
	status: number;
}

/** See LaunchKernel. */
export async function launchBashKernel(options: LaunchOptions): Promise<Kernel> {
	// An interactive shell reads the history of other shells when it starts, unless it is told of no file.
	const environment = { ...options.environment, PAGER: "cat", TERM: "dumb", HISTFILE: "" };
	const kernelProcess = await KernelProcess.start({
		command: SHELL,
		cwd: options.cwd,
		environment,
		stdio: ["pipe", "pipe", "pipe"],
	});
	const kernel = new BashKernel(kernelProcess);
	try {
		await abortable(Promise.all([kernel.silently(SETUP), kernelProcess.joined]), options.signal);
		return kernel;
	} catch (error) {
		await kernelProcess.kill();
		throw error instanceof KernelGone ? new KernelUnavailable("bash ended while it was starting") : error;
	}
}

class BashKernel implements Kernel {
	readonly gone: Promise<void>;
	readonly #process: KernelProcess;
	readonly #marker = `offshoot-${randomBytes(16).toString("hex")}`;
	#part: Part | undefined;
	#beforeNext = "";
	#count = 0;
	#exitCode: number | null | undefined;

	constructor(kernelProcess: KernelProcess) {
		this.#process = kernelProcess;
		kernelProcess.input(0).on("error", () => undefined);
		const outputs = [this.#read("stdout", kernelProcess.output(1)), this.#read("stderr", kernelProcess.output(2))];
		void kernelProcess.ended.then(({ exitCode }) => {
			this.#exitCode = exitCode;
			// Programs in the background may hold the pipes open for long.
			for (const fd of [1, 2]) setTimeout(() => kernelProcess.output(fd).destroy(), 100);
		});
		this.gone = Promise.all([kernelProcess.ended, ...outputs]).then(() => this.#part?.done.reject(new KernelGone()));
	}

	async execute(code: string, emit: Emit, signal: AbortSignal): Promise<void> {
		this.#count += 1;
		await emit({ type: "number_of_executions", execution_count: this.#count });
		const stopWatching = interruptOnAbort(signal, () => this.#process.signalGroup("SIGINT"));
		try {
			await this.silently(this.#beforeNext);
			this.#beforeNext = "";
			const status = await this.#run(code, emit);
			if (status !== 0) await emit(failure(status, `exit status ${status}`));
		} catch (error) {
			// A cell may end its shell, with `exit` or `set -e`; a signal from elsewhere is another matter.
			if (typeof this.#exitCode !== "number") throw error;
			const status = this.#exitCode;
			if (status !== 0) await emit(failure(status, `the shell exited with status ${status}; its variables are gone`));
		} finally {
			stopWatching();
		}
	}

	async setEnvironment(changes: EnvironmentChanges): Promise<void> {
		const commands = Object.entries(changes).map(([name, value]) =>
			value === null ? `unset -v ${quote(name)}` : `export ${quote(`${name}=${value}`)}`,
		);
		if (commands.length > 0) await this.silently(commands.join("\n"));
	}

	/** RANDOM is the shell's only generator. A busy shell takes the seed before its next cell. */
	async reseed(seed: Buffer): Promise<void> {
		const code = `RANDOM=${seed.readUInt32LE()}`;
		if (this.#part === undefined) await this.silently(code);
		else this.#beforeNext = code;
	}

	async stop(): Promise<void> {
		await this.#process.kill();
		await this.gone;
	}

	/** Runs commands whose output nobody sees. */
	async silently(code: string): Promise<void> {
		if (code !== "") await this.#run(code, () => undefined);
	}

	async #run(code: string, emit: Emit): Promise<number> {
		if (this.#exitCode !== undefined) throw new KernelGone();
		const part: Part = { emit, done: Promise.withResolvers<number>(), openStreams: 2, status: 0 };
		this.#part = part;
		// The second line is read on its own, so it is also reached when the first was interrupted.
		this.#process.input(0).write(`eval ${quote(code)} </dev/null\n${this.#endOfPart()}\n`);
		try {
			return await part.done.promise;
		} finally {
			this.#part = undefined;
		}
	}

	/** Writes the marker with the exit status to both streams, and leaves the status as it was. A cell may have turned history on. */
	#endOfPart(): string {
		const mark = `'\\0${this.#marker} %d\\0'`;
		return `{ __offshoot_status=$?; set +o history; printf ${mark} $__offshoot_status >&198; printf ${mark} $__offshoot_status >&199; (exit $__offshoot_status); } 2>/dev/null`;
	}

	async #read(name: "stdout" | "stderr", stream: Readable): Promise<void> {
		const splitter = new MarkerSplitter(this.#marker);
		const decoder = new StringDecoder("utf8");
		try {
			for await (const chunk of stream) {
				for (const piece of splitter.push(decoder.write(chunk))) await this.#take(name, piece);
			}
		} catch {
			// Destroyed after the shell's end.
		}
	}

	async #take(name: "stdout" | "stderr", piece: { readonly text: string } | { readonly status: number }): Promise<void> {
		const part = this.#part;
		if (!part) return;
		if ("text" in piece) {
			await part.emit({ type: name, text: piece.text, timestamp: new Date().toISOString() });
			return;
		}
		part.status = piece.status;
		part.openStreams -= 1;
		if (part.openStreams === 0) part.done.resolve(part.status);
	}
}

function failure(status: number, traceback: string) {
	return { type: "error", name: "BashError", value: String(status), traceback } as const;
}

/** `text` as one word of the shell. */
function quote(text: string): string {
	return `'${text.replaceAll("'", "'\\''")}'`;
}
