/** A JavaScript or TypeScript kernel: a Node process that evaluates cells (src/node-kernel). */

import type { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { abortable } from "../../abortable.ts";
import type { Emit } from "../../events.ts";
import { COMMAND_FD, type Command, LineReader, REPORT_FD, RESEED_GLOBAL, type Report } from "../../node-kernel/protocol.ts";
import {
	type EnvironmentChanges,
	interruptOnAbort,
	type Kernel,
	KernelGone,
	KernelUnavailable,
	type LaunchOptions,
} from "../kernel.ts";
import { KernelProcess } from "../process.ts";
import { callInspector, type InspectorCall, takeNotices } from "./inspector.ts";

/** A kernel that has not taken a command after this time is busy running user code. */
const BUSY_AFTER_MS = 100;

/** Where `npm install --global` of the sandbox's own Node, and of Debian's, puts packages. */
const GLOBAL_PACKAGES = "/usr/local/lib/node_modules:/usr/lib/node_modules";

const INSPECTOR_OPEN_MS = 5_000;

interface Running {
	readonly execution: number;
	readonly emit: Emit;
	readonly done: PromiseWithResolvers<void>;
}

/** Starts `command`, which runs src/node-kernel; see LaunchKernel. */
export async function launchNodeKernel(command: readonly string[], options: LaunchOptions): Promise<Kernel> {
	const kernelProcess = await KernelProcess.start({
		command,
		cwd: options.cwd,
		environment: { NODE_PATH: GLOBAL_PACKAGES, ...options.environment },
		stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
	});
	const kernel = new NodeKernel(kernelProcess);
	try {
		await abortable(kernel.ready, options.signal);
		return kernel;
	} catch (error) {
		await kernelProcess.kill();
		throw error;
	}
}

class NodeKernel implements Kernel {
	readonly gone: Promise<void>;
	readonly ready: Promise<void>;
	readonly #process: KernelProcess;
	readonly #started = Promise.withResolvers<void>();
	readonly #answers = new Map<number, PromiseWithResolvers<void>>();
	/** The address of the debugging port, once it was opened. */
	#inspector: PromiseWithResolvers<string> | undefined;
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
		const running = { execution, emit, done: Promise.withResolvers<void>() };
		this.#running = running;
		const stopWatching = interruptOnAbort(signal, () => this.#interrupt(running));
		try {
			this.#send({ type: "execute", execution, code });
			await running.done.promise;
			// What programs started by the cell wrote before its end is readable by now, but may not have been read.
			await nextTurn();
			await nextTurn();
		} finally {
			stopWatching();
			this.#running = undefined;
		}
	}

	async setEnvironment(changes: EnvironmentChanges): Promise<void> {
		if (Object.keys(changes).length === 0) return;
		const request = this.#number();
		await this.#ask({ type: "environment", request, changes });
	}

	async reseed(seed: Buffer): Promise<void> {
		const request = this.#number();
		const hex = seed.toString("hex");
		const answered = this.#ask({ type: "reseed", request, seed: hex });
		const busy = setTimeout(() => {
			const expression = `globalThis[Symbol.for("${RESEED_GLOBAL}")](${request}, "${hex}")`;
			const inspected = this.#inspect({ method: "Runtime.evaluate", params: { expression, silent: true } });
			void inspected.then(() => this.#answers.get(request)?.resolve());
		}, BUSY_AFTER_MS);
		await answered.finally(() => clearTimeout(busy));
	}

	async stop(): Promise<void> {
		await this.#process.kill();
		await this.gone;
	}

	/** Ends the programs that the cell waits for, its pending promise, and, if it is computing, the computation. */
	#interrupt(running: Running): void {
		this.#process.signalGroup("SIGINT");
		this.#send({ type: "interrupt", execution: running.execution });
		setTimeout(() => {
			if (this.#running === running) void this.#inspect({ method: "Runtime.terminateExecution" });
		}, BUSY_AFTER_MS);
	}

	/**
	 * Makes a call through the debugging port. The port stays open afterwards, for the next time: closing it while the
	 * kernel's own debugging session exists crashes Node 26. It listens on loopback and is named by a random address.
	 */
	async #inspect(call: InspectorCall): Promise<void> {
		if (this.#inspector === undefined) {
			this.#inspector = Promise.withResolvers<string>();
			this.#process.signal("SIGUSR1");
		}
		try {
			await callInspector(await abortable(this.#inspector.promise, AbortSignal.timeout(INSPECTOR_OPEN_MS)), call);
		} catch {
			// The kernel became free or ended meanwhile; else the caller tries again.
		}
	}

	#number(): number {
		this.#lastNumber += 1;
		return this.#lastNumber;
	}

	#send(command: Command): void {
		if (!this.#ended) this.#process.input(COMMAND_FD).write(`${JSON.stringify(command)}\n`);
	}

	#ask(command: Command & { readonly request: number }): Promise<void> {
		if (this.#ended) return Promise.reject(new KernelGone());
		const answer = Promise.withResolvers<void>();
		this.#answers.set(command.request, answer);
		this.#send(command);
		return answer.promise.finally(() => this.#answers.delete(command.request));
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
				if (this.#running?.execution === report.execution) this.#running.done.resolve();
				break;
		}
	}

	/** Output that bypassed the kernel's streams: of programs it started, or of native code. */
	async #readRaw(name: "stdout" | "stderr", stream: Readable): Promise<void> {
		stream.setEncoding("utf8");
		for await (const chunk of stream) {
			const { rest: text, address } =
				name === "stderr" ? takeNotices(String(chunk)) : { rest: String(chunk), address: undefined };
			if (address !== undefined) this.#inspector?.resolve(address);
			if (name === "stderr") this.#lastWords = text;
			if (text !== "") await this.#running?.emit({ type: name, text, timestamp: new Date().toISOString() });
		}
	}

	#end(): void {
		this.#ended = true;
		this.#started.reject(new KernelUnavailable(`the JavaScript kernel ended while it was starting: ${this.#lastWords}`));
		this.#running?.done.reject(new KernelGone());
		for (const answer of this.#answers.values()) answer.reject(new KernelGone());
	}
}
