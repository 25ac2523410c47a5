/** A Java kernel: a process that runs cells in the JDK's own shell, JShell (guest/interpreter/java). */

import { existsSync } from "node:fs";
import type { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { abortable } from "../../abortable.ts";
import type { Emit } from "../../events.ts";
import { COMMAND_FD, LineReader, REPORT_FD, type Report } from "../../node-kernel/protocol.ts";
import {
	type EnvironmentChanges,
	interruptOnAbort,
	type Kernel,
	KernelGone,
	KernelUnavailable,
	type LaunchOptions,
} from "../kernel.ts";
import { KernelProcess } from "../process.ts";

/**
 * The collector with the least memory of its own; half of the sandbox's memory for the heap, where the default is a
 * quarter; no file of counters in /tmp; classes read from the archive that the template's build made, if it still fits.
 */
const OPTIONS = ["-XX:+UseSerialGC", "-XX:MaxRAMPercentage=50", "-XX:-UsePerfData", "-Xshare:auto"];

interface Running {
	readonly emit: Emit;
	readonly done: PromiseWithResolvers<void>;
}

/** Starts the kernel in the archive `jar`; see LaunchKernel. */
export async function launchJavaKernel(jar: string, options: LaunchOptions): Promise<Kernel> {
	if (!existsSync(jar)) throw new KernelUnavailable('the kernel of language "java" is not installed in this template');
	const classes = `-XX:SharedArchiveFile=${jar.replace(/\.jar$/, ".jsa")}`;
	const kernelProcess = await KernelProcess.start({
		command: ["java", ...OPTIONS, classes, "-jar", jar],
		cwd: options.cwd,
		environment: options.environment,
		stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
	});
	const kernel = new JavaKernel(kernelProcess);
	try {
		await abortable(kernel.ready, options.signal);
		return kernel;
	} catch (error) {
		await kernelProcess.kill();
		throw error;
	}
}

class JavaKernel implements Kernel {
	readonly gone: Promise<void>;
	readonly ready: Promise<void>;
	readonly #process: KernelProcess;
	readonly #started = Promise.withResolvers<void>();
	readonly #answers = new Map<number, PromiseWithResolvers<void>>();
	#running: Running | undefined;
	#lastNumber = 0;
	#ended = false;
	/** The last that the process wrote to standard error, to explain a failed start. */
	#lastWords = "";

	constructor(kernelProcess: KernelProcess) {
		this.#process = kernelProcess;
		this.ready = this.#started.promise;
		this.ready.catch(() => undefined);
		kernelProcess.input(COMMAND_FD).on("error", () => undefined);
		const reports = this.#readReports(kernelProcess.output(REPORT_FD));
		void this.#readRaw("stdout", kernelProcess.output(1));
		void this.#readRaw("stderr", kernelProcess.output(2));
		// Everything that the kernel still reported counts before its end does.
		this.gone = Promise.all([kernelProcess.ended, reports]).then(() => this.#end());
	}

	async execute(code: string, emit: Emit, signal: AbortSignal): Promise<void> {
		if (this.#ended) throw new KernelGone();
		const execution = this.#number();
		this.#running = { emit, done: Promise.withResolvers() };
		const stopWatching = interruptOnAbort(signal, () => {
			this.#process.signalGroup("SIGINT");
			this.#send("interrupt", execution);
		});
		try {
			this.#send("execute", execution, word(code));
			await this.#running.done.promise;
			// What programs started by the cell wrote before its end is readable by now, but may not have been read.
			await nextTurn();
			await nextTurn();
		} finally {
			stopWatching();
			this.#running = undefined;
		}
	}

	async setEnvironment(changes: EnvironmentChanges): Promise<void> {
		const words = Object.entries(changes).map(([name, value]) => (value === null ? word(name) : `${word(name)}=${word(value)}`));
		if (words.length > 0) await this.#ask("environment", ...words);
	}

	async reseed(seed: Buffer): Promise<void> {
		await this.#ask("reseed", seed.toString("hex"));
	}

	async stop(): Promise<void> {
		await this.#process.kill();
		await this.gone;
	}

	#number(): number {
		this.#lastNumber += 1;
		return this.#lastNumber;
	}

	#send(command: "execute" | "interrupt" | "environment" | "reseed", number: number, ...words: readonly string[]): void {
		if (!this.#ended) this.#process.input(COMMAND_FD).write(`${[command, number, ...words].join(" ")}\n`);
	}

	#ask(command: "environment" | "reseed", ...words: readonly string[]): Promise<void> {
		if (this.#ended) return Promise.reject(new KernelGone());
		const request = this.#number();
		const answer = Promise.withResolvers<void>();
		this.#answers.set(request, answer);
		this.#send(command, request, ...words);
		return answer.promise.finally(() => this.#answers.delete(request));
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
				await this.#running?.emit(report.event);
				break;
			case "answer":
				this.#answers.get(report.request)?.resolve();
				break;
			case "done":
				this.#running?.done.resolve();
				break;
		}
	}

	/** Output that bypassed the kernel's streams: of programs it started, or of Java itself. */
	async #readRaw(name: "stdout" | "stderr", stream: Readable): Promise<void> {
		stream.setEncoding("utf8");
		for await (const chunk of stream) {
			const text = String(chunk);
			if (name === "stderr") this.#lastWords = text;
			await this.#running?.emit({ type: name, text, timestamp: new Date().toISOString() });
		}
	}

	#end(): void {
		this.#ended = true;
		this.#started.reject(new KernelUnavailable(`the Java kernel ended while it was starting: ${this.#lastWords}`));
		this.#running?.done.reject(new KernelGone());
		for (const answer of this.#answers.values()) answer.reject(new KernelGone());
	}
}

/** `text` without spaces and line ends, as the kernel reads it. */
function word(text: string): string {
	return encodeURIComponent(text.toWellFormed());
}
