/**
 * A kernel whose process takes commands on one descriptor and reports on another what they do (node-kernel/protocol.ts
 * says how). How a command is written is the language's own.
 */

import type { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { abortable } from "../abortable.ts";
import type { Emit } from "../events.ts";
import { COMMAND_FD, type Command, LineReader, REPORT_FD, type Report } from "../node-kernel/protocol.ts";
import {
	type EnvironmentChanges,
	interruptOnAbort,
	type Kernel,
	KernelGone,
	KernelUnavailable,
	type LaunchOptions,
} from "./kernel.ts";
import { KernelProcess } from "./process.ts";

export interface Running {
	readonly execution: number;
	readonly emit: Emit;
	readonly done: PromiseWithResolvers<void>;
}

/** Starts `command` and resolves when the kernel that `make` puts around it is ready; see LaunchKernel. */
export async function launchReportingKernel(
	command: readonly string[],
	options: LaunchOptions,
	make: (kernelProcess: KernelProcess) => ReportingKernel,
): Promise<Kernel> {
	const kernelProcess = await KernelProcess.start({
		command,
		cwd: options.cwd,
		environment: options.environment,
		stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
	});
	const kernel = make(kernelProcess);
	try {
		await abortable(Promise.all([kernel.ready, kernelProcess.joined]), options.signal);
		return kernel;
	} catch (error) {
		await kernelProcess.kill();
		throw error;
	}
}

export abstract class ReportingKernel implements Kernel {
	readonly gone: Promise<void>;
	readonly ready: Promise<void>;
	protected readonly process: KernelProcess;
	protected running: Running | undefined;
	readonly #name: string;
	readonly #started = Promise.withResolvers<void>();
	readonly #answers = new Map<number, PromiseWithResolvers<void>>();
	#lastNumber = 0;
	#ended = false;
	/** The last that the process wrote to standard error, to explain a failed start. */
	#lastWords = "";

	/** @param name of the language, for people */
	constructor(kernelProcess: KernelProcess, name: string) {
		this.process = kernelProcess;
		this.#name = name;
		this.ready = this.#started.promise;
		this.ready.catch(() => undefined);
		kernelProcess.input(COMMAND_FD).on("error", () => undefined);
		const reports = this.#readReports(kernelProcess.output(REPORT_FD));
		void this.#readRaw("stdout", kernelProcess.output(1));
		void this.#readRaw("stderr", kernelProcess.output(2));
		// Everything that the kernel still reported counts before its end does.
		this.gone = Promise.all([kernelProcess.ended, reports]).then(() => this.#end());
	}

	/** The line that tells the process a command. */
	protected abstract lineOf(command: Command): string;

	/** Stops a cell that computes; the programs that it started have had their signal, and the kernel its command. */
	protected stopComputing(_running: Running): void {}

	/** What of a piece of standard error is the user's. */
	protected usersPart(text: string): string {
		return text;
	}

	async execute(code: string, emit: Emit, signal: AbortSignal): Promise<void> {
		if (this.#ended) throw new KernelGone();
		const execution = this.number();
		const running = { execution, emit, done: Promise.withResolvers<void>() };
		this.running = running;
		const stopWatching = interruptOnAbort(signal, () => this.#interrupt(running));
		try {
			this.#send({ type: "execute", execution, code });
			await running.done.promise;
			// What programs started by the cell wrote before its end is readable by now, but may not have been read.
			await nextTurn();
			await nextTurn();
		} finally {
			stopWatching();
			this.running = undefined;
		}
	}

	async setEnvironment(changes: EnvironmentChanges): Promise<void> {
		if (Object.keys(changes).length > 0) await this.ask({ type: "environment", request: this.number(), changes });
	}

	async reseed(seed: Buffer): Promise<void> {
		await this.ask({ type: "reseed", request: this.number(), seed: seed.toString("hex") });
	}

	async stop(): Promise<void> {
		await this.process.kill();
		await this.gone;
	}

	/** Of an execution or a request; none is given twice. */
	protected number(): number {
		this.#lastNumber += 1;
		return this.#lastNumber;
	}

	/** Resolves with the answer. Rejects with KernelGone. */
	protected ask(command: Command & { readonly request: number }): Promise<void> {
		if (this.#ended) return Promise.reject(new KernelGone());
		const answer = Promise.withResolvers<void>();
		this.#answers.set(command.request, answer);
		this.#send(command);
		return answer.promise.finally(() => this.#answers.delete(command.request));
	}

	/** Takes a request for answered. */
	protected answered(request: number): void {
		this.#answers.get(request)?.resolve();
	}

	#interrupt(running: Running): void {
		this.process.signalGroup("SIGINT");
		this.#send({ type: "interrupt", execution: running.execution });
		this.stopComputing(running);
	}

	#send(command: Command): void {
		if (!this.#ended) this.process.input(COMMAND_FD).write(`${this.lineOf(command)}\n`);
	}

	async #readReports(stream: Readable): Promise<void> {
		const reader = new LineReader<Report>();
		stream.setEncoding("utf8");
		try {
			for await (const chunk of stream) {
				for (const report of reader.push(String(chunk))) await this.#take(report);
			}
		} catch {
			// The kernel ended in the middle of a line.
		}
	}

	async #take(report: Report): Promise<void> {
		switch (report.type) {
			case "ready":
				this.#started.resolve();
				break;
			case "event":
				await this.running?.emit(report.event);
				break;
			case "answer":
				this.answered(report.request);
				break;
			case "done":
				if (this.running?.execution === report.execution) this.running.done.resolve();
				break;
		}
	}

	/** Output that bypassed the kernel's streams: of programs it started, or of native code. */
	async #readRaw(name: "stdout" | "stderr", stream: Readable): Promise<void> {
		stream.setEncoding("utf8");
		for await (const chunk of stream) {
			const text = name === "stderr" ? this.usersPart(String(chunk)) : String(chunk);
			if (name === "stderr") this.#lastWords = text;
			if (text !== "") await this.running?.emit({ type: name, text, timestamp: new Date().toISOString() });
		}
	}

	#end(): void {
		this.#ended = true;
		this.#started.reject(new KernelUnavailable(`the ${this.#name} kernel ended while it was starting: ${this.#lastWords}`));
		this.running?.done.reject(new KernelGone());
		for (const answer of this.#answers.values()) answer.reject(new KernelGone());
	}
}
