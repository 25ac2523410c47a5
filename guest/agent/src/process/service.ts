/** The Process service: translates between messages and processes. */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
	ListResponseSchema,
	type Process,
	type ProcessEvent as ProcessEventMessage,
	ProcessEventSchema,
	type ProcessInput,
	type ProcessSelector,
	type PTY,
	Signal,
	type StartRequest,
	type StreamInputRequest,
} from "../../../../src/protocol/gen/process_pb.js";
import { eventsOf, identityOf, keepaliveMs, rpcError, userOf } from "../rpc/context.ts";
import { SysdError } from "../sysd/errno.ts";
import { SpawnError, type TerminalSize } from "../sysd/sysd.ts";
import type { Users } from "../users.ts";
import { type Launch, launchOf } from "./launch.ts";
import type { ManagedProcess, ProcessDescription, ProcessEvent } from "./managed.ts";
import type { ProcessRegistry } from "./registry.ts";

/** Terminals of requests that name no size. */
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export function processService(registry: ProcessRegistry, users: Users): ServiceImpl<typeof Process> {
	return {
		list: () => listProcesses(registry),
		async *start(request, context) {
			const process = await startProcess(registry, users, request, context);
			const limitMs = context.timeoutMs();
			if (limitMs !== undefined) registry.endAfter(process, limitMs);
			for await (const event of follow(process, context)) yield { event };
		},
		async *connect(request, context) {
			for await (const event of follow(select(registry, request.process), context)) yield { event };
		},
		async update(request) {
			const process = selectRunning(registry, request.process);
			const size = terminalSize(request.pty);
			if (size === undefined) return {};
			if (!isTerminal(process)) throw new ConnectError("the process has no terminal to resize", Code.Internal);
			await ofProcess(process, registry.resize(process, size.columns, size.rows));
			return {};
		},
		async sendInput(request) {
			await writeInput(selectRunning(registry, request.process), request.input);
			return {};
		},
		async streamInput(requests) {
			await streamInput(registry, requests);
			return {};
		},
		async sendSignal(request) {
			const process = selectRunning(registry, request.process);
			if (request.signal !== Signal.SIGKILL && request.signal !== Signal.SIGTERM) {
				throw new ConnectError(`signal ${request.signal} is not supported`, Code.Unimplemented);
			}
			await ofProcess(process, registry.signal(process, request.signal));
			return {};
		},
		async closeStdin(request) {
			const process = selectRunning(registry, request.process);
			if (isTerminal(process)) {
				throw new ConnectError("a terminal's input cannot be closed: send 0x04 (end of transmission) instead", Code.Unknown);
			}
			await process.closeInput();
			return {};
		},
	};
}

function listProcesses(registry: ProcessRegistry) {
	const processes = registry.running().map(({ pid, description }) => {
		const { cmd, args, envs, cwd, tag } = description;
		const config = { cmd, args: [...args], envs: { ...envs }, ...(cwd === undefined ? {} : { cwd }) };
		return { pid, config, ...(tag === undefined ? {} : { tag }) };
	});
	return create(ListResponseSchema, { processes });
}

async function startProcess(
	registry: ProcessRegistry,
	users: Users,
	request: StartRequest,
	context: HandlerContext,
): Promise<ManagedProcess> {
	const config = request.process;
	if (config === undefined || config.cmd === "") throw new ConnectError("process.cmd is required", Code.InvalidArgument);
	const { cmd, args, envs, cwd } = config;
	const size = terminalSize(request.pty);
	const plain = request.stdin === false ? "null" : "pipe";
	const description: ProcessDescription = { cmd, args, envs, cwd, tag: request.tag, input: size === undefined ? plain : "pty" };
	const user = userOf(context, users);
	const launch = orRpcError(() => launchOf({ user, identity: identityOf(context), cmd, args, envs, cwd, input: size ?? plain }));
	refuseNul(launch);
	try {
		return await registry.start(launch, description);
	} catch (error) {
		throw spawnError(error, launch);
	}
}

function orRpcError<T>(action: () => T): T {
	try {
		return action();
	} catch (error) {
		throw rpcError(error);
	}
}

function refuseNul({ program, args, environment }: Launch): void {
	const strings = [program, ...args, ...Object.entries(environment).flat()];
	if (!strings.some((text) => text.includes("\0"))) return;
	throw new ConnectError("cmd, args and envs must not contain NUL characters", Code.InvalidArgument);
}

function spawnError(error: unknown, launch: Launch): ConnectError {
	if (!(error instanceof SpawnError)) return rpcError(error);
	const missing = error.code === "ENOENT" || error.code === "ENOTDIR";
	if (error.stage === "cwd" && missing) return new ConnectError(`cwd '${launch.cwd}' does not exist`, Code.InvalidArgument);
	if (error.stage === "cwd") return new ConnectError(`cwd '${launch.cwd}': ${error.reason}`, Code.InvalidArgument);
	const code = error.stage === "exec" ? Code.InvalidArgument : Code.Internal;
	return new ConnectError(`error starting process '${launch.program}': ${error.reason}`, code);
}

/** Start, then output, then end; keep-alives in silences. */
async function* follow(process: ManagedProcess, context: HandlerContext): AsyncGenerator<ProcessEventMessage> {
	const channel = process.subscribe();
	process.begin();
	try {
		yield create(ProcessEventSchema, { event: { case: "start", value: { pid: process.pid } } });
		for await (const event of eventsOf(channel, keepaliveMs(context), context.signal)) yield eventMessage(event);
	} finally {
		process.unsubscribe(channel);
	}
}

function eventMessage(event: ProcessEvent | "keepalive"): ProcessEventMessage {
	if (event === "keepalive") return create(ProcessEventSchema, { event: { case: "keepalive", value: {} } });
	if (event.kind !== "end") {
		const output = { case: event.kind, value: event.data };
		return create(ProcessEventSchema, { event: { case: "data", value: { output } } });
	}
	const { exitCode, exited, status, error } = event.ending;
	const value = { exitCode, exited, status, ...(error === undefined ? {} : { error }) };
	return create(ProcessEventSchema, { event: { case: "end", value } });
}

/** @throws ConnectError not_found */
function select(registry: ProcessRegistry, selector: ProcessSelector | undefined): ManagedProcess {
	const by = selector?.selector;
	if (by?.case === "pid") {
		const process = registry.byPid(by.value);
		if (process !== undefined) return process;
		throw new ConnectError(`process with pid ${by.value} not found`, Code.NotFound);
	}
	if (by?.case === "tag") {
		const process = registry.byTag(by.value);
		if (process !== undefined) return process;
		throw new ConnectError(`process with tag ${by.value} not found`, Code.NotFound);
	}
	throw new ConnectError("process selector must have a pid or a tag", Code.InvalidArgument);
}

function selectRunning(registry: ProcessRegistry, selector: ProcessSelector | undefined): ManagedProcess {
	const process = select(registry, selector);
	if (process.ending === undefined) return process;
	throw notFound(process);
}

function notFound(process: ManagedProcess): ConnectError {
	return new ConnectError(`process with pid ${process.pid} not found`, Code.NotFound);
}

/** A process that ended while it was spoken to counts as not found. */
async function ofProcess(process: ManagedProcess, work: Promise<void>): Promise<void> {
	try {
		await work;
	} catch (error) {
		if (error instanceof SysdError && error.code === "ESRCH") throw notFound(process);
		throw new ConnectError(error instanceof Error ? error.message : String(error), Code.Internal);
	}
}

function isTerminal(process: ManagedProcess): boolean {
	return process.description.input === "pty";
}

function terminalSize(pty: PTY | undefined): TerminalSize | undefined {
	if (pty === undefined) return undefined;
	return { columns: pty.size?.cols || DEFAULT_COLUMNS, rows: pty.size?.rows || DEFAULT_ROWS };
}

async function writeInput(process: ManagedProcess, input: ProcessInput | undefined): Promise<void> {
	const given = input?.input;
	if (given === undefined || given.case === undefined) throw new ConnectError("input is required", Code.InvalidArgument);
	const expected = isTerminal(process) ? "pty" : "stdin";
	if (given.case !== expected) {
		const why = expected === "pty" ? "runs on a terminal: send pty input" : "has no terminal: send stdin input";
		throw new ConnectError(`process ${process.pid} ${why}`, Code.Internal);
	}
	if (!process.acceptsInput) throw new ConnectError("stdin of the process is closed or was not requested", Code.Internal);
	await ofProcess(process, process.write(given.value));
}

async function streamInput(registry: ProcessRegistry, requests: AsyncIterable<StreamInputRequest>): Promise<void> {
	let process: ManagedProcess | undefined;
	for await (const { event } of requests) {
		if (event.case === "start") process = selectRunning(registry, event.value.process);
		if (event.case !== "data") continue;
		if (process === undefined) throw new ConnectError("the first message must be start", Code.InvalidArgument);
		await writeInput(process, event.value.input);
	}
}
