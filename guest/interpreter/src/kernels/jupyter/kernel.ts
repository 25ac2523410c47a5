/** A kernel that speaks the Jupyter protocol. */

import { setTimeout as sleep } from "node:timers/promises";
import { abortable } from "../../abortable.ts";
import type { Emit, ExecutionEvent } from "../../events.ts";
import { resultEvent } from "../../results.ts";
import { type EnvironmentChanges, interruptOnAbort, type Kernel, KernelUnavailable, type LaunchOptions } from "../kernel.ts";
import { collectDiagnostics, KernelProcess } from "../process.ts";
import { JupyterConnection } from "./connection.ts";
import { isRecord, type JupyterMessage, text } from "./messages.ts";

/** A kernel that we ask to end has this long to flush files and run its exit handlers. */
const SHUTDOWN_GRACE_MS = 1_000;

/** One that ends since its user asked for it: exit handlers may upload something, threads may be about to finish. */
const EXIT_GRACE_MS = 30_000;

/** What the kernels of Python and of R reply after an interrupt. */
const ABORTED = ["aborted", "abort"];

/** What differs between the kernels of two languages. */
export interface JupyterLanguage {
	/** The command that serves the kernel described by `connectionFile`. */
	command(connectionFile: string): readonly string[];
	readonly environment: Readonly<Record<string, string>>;
	/** Code that changes environment variables without leaving a trace in the user's variables. */
	environmentCode(changes: EnvironmentChanges): string;
	/**
	 * How its random generators get a seed of 32 bytes: by `offshoot_reseed_request` on the control channel, also while a
	 * cell is running, or by code, which waits for the end of the cell.
	 */
	readonly seeding: "request" | ((seed: Buffer) => string);
	/** Whether the kernel ends after a cell that asked for it with `exit()`. One that leaves it to its client stays, as upstream. */
	readonly endsItself: boolean;
}

export class JupyterKernel implements Kernel {
	readonly gone: Promise<void>;
	readonly #language: JupyterLanguage;
	readonly #process: KernelProcess;
	readonly #connection: JupyterConnection;

	private constructor(language: JupyterLanguage, kernelProcess: KernelProcess, connection: JupyterConnection) {
		this.#language = language;
		this.#process = kernelProcess;
		this.#connection = connection;
		this.gone = kernelProcess.ended.then(() => connection.close());
	}

	/** Starts the kernel; see LaunchKernel. */
	static async launch(language: JupyterLanguage, runtimeDirectory: string, options: LaunchOptions): Promise<JupyterKernel> {
		const connection = await JupyterConnection.open(runtimeDirectory);
		try {
			const kernelProcess = await KernelProcess.start({
				command: language.command(connection.file),
				cwd: options.cwd,
				environment: { ...options.environment, ...language.environment },
				stdio: ["ignore", "pipe", "pipe"],
			});
			const diagnostics = collectDiagnostics(kernelProcess.output(1), kernelProcess.output(2));
			const kernel = new JupyterKernel(language, kernelProcess, connection);
			await kernel.#ready(options.signal, diagnostics);
			return kernel;
		} catch (error) {
			await connection.close();
			throw error;
		}
	}

	async execute(code: string, emit: Emit, signal: AbortSignal): Promise<void> {
		const stopWatching = interruptOnAbort(signal, () => this.#process.signalGroup("SIGINT"));
		const translate = translator();
		try {
			const reply = await this.#connection.request({
				channel: "shell",
				type: "execute_request",
				content: { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: false },
				onOutput: (message) => {
					const event = translate(message);
					return event && emit(event);
				},
			});
			if (ABORTED.includes(text(reply.content.status))) {
				await emit({ type: "error", name: "ExecutionAborted", value: "Execution was aborted", traceback: "" });
			}
			// It replies before it ends, and would take the next cell with it.
			if (this.#language.endsItself && asksToExit(reply)) await this.#endByItself(signal);
		} finally {
			stopWatching();
		}
	}

	async setEnvironment(changes: EnvironmentChanges): Promise<void> {
		if (Object.keys(changes).length > 0) await this.#silently(this.#language.environmentCode(changes));
	}

	async reseed(seed: Buffer): Promise<void> {
		const { seeding } = this.#language;
		if (seeding !== "request") return this.#silently(seeding(seed));
		const content = { seed: seed.toString("hex") };
		await this.#connection.request({ channel: "control", type: "offshoot_reseed_request", content });
	}

	async stop(): Promise<void> {
		const asked = this.#connection.request({ channel: "control", type: "shutdown_request", content: { restart: false } });
		asked.catch(() => undefined);
		await this.#endWithin(SHUTDOWN_GRACE_MS);
	}

	/** The end of a kernel whose cell called `exit()`. Once the cell is interrupted it has as long as one that we ask. */
	async #endByItself(signal: AbortSignal): Promise<void> {
		const enough = Promise.race([this.#process.ended, sleep(EXIT_GRACE_MS, undefined, { ref: false })]);
		await abortable(enough, signal).catch(() => undefined);
		await this.#endWithin(signal.aborted ? SHUTDOWN_GRACE_MS : 0);
	}

	/** Waits for the end of a kernel that was asked for it, then ends it. */
	async #endWithin(graceMs: number): Promise<void> {
		await Promise.race([this.#process.ended, sleep(graceMs, undefined, { ref: false })]);
		await this.#process.kill();
		await this.gone;
	}

	/** Runs code that leaves no trace in what the client sees. */
	async #silently(code: string): Promise<void> {
		const content = { code, silent: true, store_history: false, user_expressions: {}, allow_stdin: false, stop_on_error: false };
		await this.#connection.request({ channel: "shell", type: "execute_request", content });
	}

	async #ready(signal: AbortSignal, diagnostics: () => string): Promise<void> {
		const failed = this.gone.then(() => {
			throw new KernelUnavailable(`the kernel ended while it was starting: ${diagnostics() || "it gave no reason"}`);
		});
		try {
			await Promise.race([Promise.all([this.#connection.ready(signal), this.#process.joined]), failed]);
		} catch (error) {
			await this.#process.kill();
			throw error instanceof KernelUnavailable ? error : await failed;
		} finally {
			failed.catch(() => undefined);
		}
	}
}

/** Whether the cell called `exit()` or the like: https://jupyter-client.readthedocs.io/en/stable/messaging.html#payloads-deprecated */
function asksToExit({ content }: JupyterMessage): boolean {
	const payload: unknown[] = Array.isArray(content.payload) ? content.payload : [];
	return payload.filter(isRecord).some(({ source, keepkernel }) => source === "ask_exit" && keepkernel !== true);
}

/** Turns output messages into events; only the first error of an execution counts. */
function translator(): (message: JupyterMessage) => ExecutionEvent | undefined {
	let failed = false;
	return (message) => {
		const event = eventOf(message);
		if (event?.type !== "error") return event;
		if (failed) return undefined;
		failed = true;
		return event;
	};
}

function eventOf({ type, content, date }: JupyterMessage): ExecutionEvent | undefined {
	switch (type) {
		case "execute_input":
			return { type: "number_of_executions", execution_count: Number(content.execution_count) };
		case "stream":
			return { type: content.name === "stderr" ? "stderr" : "stdout", text: text(content.text), timestamp: date };
		case "execute_result":
		case "display_data":
			return isRecord(content.data) ? resultEvent(content.data, type) : undefined;
		case "error": {
			const lines: unknown[] = Array.isArray(content.traceback) ? content.traceback : [];
			return { type: "error", name: text(content.ename), value: text(content.evalue), traceback: lines.map(text).join("") };
		}
		default:
			return undefined;
	}
}
