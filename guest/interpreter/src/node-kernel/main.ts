/**
 * The process of a JavaScript or TypeScript kernel: `main.ts javascript|typescript`. Its global scope is the user's.
 * Standard output and error become events, so that they keep their order among themselves and with results.
 */

// Cells share the global scope: a name that one declares there would hide those of `node:buffer` and `node:process`.
import { Buffer } from "node:buffer";
import { Console } from "node:console";
import { existsSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { basename, delimiter, join } from "node:path";
import process from "node:process";
import { Writable } from "node:stream";
import { inspect } from "node:util";
import type { ExecutionEvent } from "../events.ts";
import { installDisplay } from "./display.ts";
import { createEvaluator, INTERRUPTED, type Outcome } from "./evaluate.ts";
import { installImports } from "./imports.ts";
import { COMMAND_FD, type Command, LineReader, REPORT_FD, RESEED_GLOBAL, type Report } from "./protocol.ts";
import { installRandom, reseed } from "./random.ts";

function report(message: Report): void {
	const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
	for (let written = 0; written < bytes.length; ) written += writeSync(REPORT_FD, bytes, written);
}

function reportEvent(event: ExecutionEvent): void {
	report({ type: "event", event });
}

function outputStream(name: "stdout" | "stderr", fd: number): Writable {
	const stream = new Writable({
		decodeStrings: false,
		write(chunk: string | Buffer, _encoding, done) {
			if (chunk.length > 0) reportEvent({ type: name, text: chunk.toString(), timestamp: new Date().toISOString() });
			done();
		},
	});
	return Object.assign(stream, { fd });
}

function installOutput(): void {
	for (const [name, fd] of [
		["stdout", 1],
		["stderr", 2],
	] as const) {
		Object.defineProperty(process, name, { value: outputStream(name, fd), configurable: true, enumerable: true });
	}
	// Not the built-in console: that one keeps what was logged for debuggers.
	globalThis.console = Object.assign(new Console(process.stdout, process.stderr), { Console });
}

/**
 * In a sandbox this process is Node behind a loader. Programs that start Node again by `process.execPath` (as
 * `child_process.fork` does) get the sandbox's own.
 */
function installExecutable(): void {
	if (basename(process.execPath) !== "node") {
		const paths = (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, "node"));
		process.execPath = paths.find((path) => existsSync(path)) ?? process.execPath;
	}
	process.argv = [process.execPath];
	process.execArgv = [];
}

/** Errors outside a cell (timers, event handlers) are shown; they don't end the kernel. */
function installErrorHandlers(): void {
	const show = (error: unknown) => process.stderr.write(`Uncaught ${error instanceof Error ? error.stack : inspect(error)}\n`);
	process.on("uncaughtException", show);
	process.on("unhandledRejection", show);
	// An interrupt is meant for the programs that a cell started; the cell itself is interrupted by command.
	process.on("SIGINT", () => undefined);
}

const language = process.argv[2] === "typescript" ? "typescript" : "javascript";
installExecutable();
installOutput();
installErrorHandlers();
installRandom();
installImports();
const displayOf = installDisplay(reportEvent);
const evaluator = createEvaluator(language);

let count = 0;
let running: { readonly execution: number; readonly interrupt: (outcome: Outcome) => void } | undefined;

async function execute(execution: number, code: string): Promise<void> {
	count += 1;
	reportEvent({ type: "number_of_executions", execution_count: count });
	const interrupted = new Promise<Outcome>((resolve) => {
		running = { execution, interrupt: resolve };
	});
	const evaluated = displayOf((display) => evaluator.evaluate(code, count, display));
	const outcome = await Promise.race([evaluated, interrupted]);
	running = undefined;
	if (outcome) reportEvent(outcome);
	report({ type: "done", execution });
}

/** A request may arrive twice, as a command and through the debugging port; taking a seed twice would repeat numbers. */
let lastReseed = 0;

function reseedOnce(request: number, seed: string): void {
	if (request <= lastReseed) return;
	lastReseed = request;
	reseed(Buffer.from(seed, "hex"));
}

Object.defineProperty(globalThis, Symbol.for(RESEED_GLOBAL), { value: reseedOnce });

function obey(command: Command): void {
	switch (command.type) {
		case "execute":
			void execute(command.execution, command.code);
			break;
		case "interrupt":
			if (running?.execution !== command.execution) break;
			running.interrupt(INTERRUPTED);
			break;
		case "environment":
			for (const [name, value] of Object.entries(command.changes)) {
				if (value === null) delete process.env[name];
				else process.env[name] = value;
			}
			report({ type: "answer", request: command.request });
			break;
		case "reseed":
			reseedOnce(command.request, command.seed);
			report({ type: "answer", request: command.request });
			break;
	}
}

const reader = new LineReader<Command>();
const commands = new Socket({ fd: COMMAND_FD, readable: true, writable: false });
commands.setEncoding("utf8");
commands.on("data", (chunk: string) => {
	for (const command of reader.push(chunk)) obey(command);
});
commands.on("close", () => process.exit(0));
// Garbage of the start would be in every snapshot. Cells see the global scope that Node has by itself.
globalThis.gc?.({ type: "major", flavor: "last-resort", execution: "sync" });
Reflect.deleteProperty(globalThis, "gc");
report({ type: "ready" });
