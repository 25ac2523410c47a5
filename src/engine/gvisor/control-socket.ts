import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Type } from "typebox";
import { Value } from "typebox/value";
import type { GuestProcess, GuestPrograms } from "../types.ts";
import { type Call, call } from "./control-call.ts";

/**
 * The socket through which runsc speaks to a sandbox. What `runsc trace procfs`, `runsc ps` and `runsc kill -pid` do is asked
 * for directly: starting that program takes tens of milliseconds, on a busy machine hundreds, in which a guest that takes
 * too much memory reaches its hard limit.
 * Source: gVisor release 20260905, runsc/boot/controller.go, runsc/boot/procfs/dump.go and pkg/sentry/control/proc.go.
 */
export interface ControlSocket {
	processes(signal: AbortSignal): Promise<readonly GuestProcess[]>;
	/** By pid: the dump of processes does not count their threads. */
	threads(signal: AbortSignal): Promise<ReadonlyMap<number, number>>;
	killProcess(pid: number, signal: AbortSignal): Promise<void>;
	killGroup(groupId: number, signal: AbortSignal): Promise<void>;
	/** Undefined: the guest has no such cgroup. */
	programs(signal: AbortSignal): Promise<GuestPrograms | undefined>;
	killPrograms(signal: AbortSignal): Promise<void>;
	/** Undoes one stop of the guest, under way or done. The guest counts them: one too many ends the sandbox. */
	endStop(signal: AbortSignal): Promise<void>;
}

const SIGKILL = 9;
/** `boot.SignalDeliveryMode` */
const TO_PROCESS = 0;
const TO_GROUP = 3;

/** @throws Error when runsc knows no such container */
export async function openControlSocket(stateDir: string, id: string): Promise<ControlSocket> {
	const path = await socketPath(stateDir, id);
	const ask = (method: string, arg: Call["arg"], wanted: Call["wanted"], signal: AbortSignal) =>
		call(path, { method, arg, wanted }, signal);
	const kill = async (PID: number, Mode: number, signal: AbortSignal) => {
		await ask("containerManager.Signal", { CID: id, Signo: SIGKILL, PID, Mode }, NOTHING, signal);
	};
	return {
		processes: async (signal) => parseProcesses(await ask("containerManager.ProcfsDump", null, OF_DUMP, signal)),
		threads: async (signal) => parseThreads(await ask("containerManager.Processes", id, OF_LIST, signal)),
		killProcess: (pid, signal) => kill(pid, TO_PROCESS, signal),
		killGroup: (groupId, signal) => kill(groupId, TO_GROUP, signal),
		programs: async (signal) => {
			const Args = ["pids.current", "pids.max", "pids.events"].map((name) => ({ file: programsFile(name) }));
			return readPrograms(await ask("Cgroups.ReadControlFiles", { Args }, OF_CONTROLS, signal));
		},
		killPrograms: async (signal) => {
			const Args = [{ file: programsFile("cgroup.kill"), value: "1" }];
			const answer = await ask("Cgroups.WriteControlFiles", { Args }, OF_CONTROLS, signal);
			const [done] = Value.Parse(Controls, answer).results;
			if (done?.is_error) throw new Error(`killing the sandbox's programs: ${done.value}`);
		},
		endStop: async (signal) => void (await ask("containerManager.Resume", null, NOTHING, signal)),
	};
}

const NOTHING = { members: new Set<string>() };

/** Of the guest's cgroup of programs, which its init makes (guest/agent/packaging/init.sh). */
function programsFile(name: string) {
	return { controller: "pids", path: "/programs", name };
}

const OF_CONTROLS = { members: new Set(["results", "value", "is_error"]) };
const Controls = Type.Object({ results: Type.Array(Type.Object({ value: Type.String(), is_error: Type.Boolean() })) });

function readPrograms(answer: unknown): GuestPrograms | undefined {
	const { results } = Value.Parse(Controls, answer);
	if (results.some(({ is_error }) => is_error)) return undefined;
	const [count, max, events] = results.map(({ value }) => value);
	const refused = /^max (\d+)$/m.exec(events ?? "")?.[1];
	// Without a limit the file says "max".
	return { count: Number(count), max: max === "max" ? Infinity : Number(max), refused: Number(refused) };
}

const State = Type.Object({ sandbox: Type.Object({ controlSocketPath: Type.String() }) });

/** runsc chooses the place, since the path of a socket may not be longer than 107 bytes; its record says which. */
async function socketPath(stateDir: string, id: string): Promise<string> {
	const record: unknown = JSON.parse(await readFile(join(stateDir, `${id}_sandbox:${id}.state`), "utf8"));
	return Value.Parse(State, record).sandbox.controlSocketPath;
}

/** Which program a process runs is told by these; init's script is the third (src/engine/gvisor/spec.ts). */
const FIRST_ARGS = 3;
/** Of all else there can be any amount: arguments, environment, descriptors and mappings are the guest's choice. */
const OF_DUMP = {
	members: new Set(["exe", "status", "pid", "ppid", "vm_rss", "stat", "pgid"]),
	firstOf: new Map([["args", FIRST_ARGS]]),
};
const Dump = Type.Array(
	Type.Object({
		exe: Type.Optional(Type.String()),
		args: Type.Optional(Type.Union([Type.Null(), Type.Array(Type.String())])),
		status: Type.Object({ pid: Type.Integer(), ppid: Type.Integer(), vm_rss: Type.Optional(Type.Integer()) }),
		stat: Type.Object({ pgid: Type.Integer() }),
	}),
);

/** @throws Error when the engine's answer has another form */
function parseProcesses(dump: unknown): GuestProcess[] {
	return Value.Parse(Dump, dump).map(({ exe, args, status, stat }) => ({
		pid: status.pid,
		parentPid: status.ppid,
		groupId: stat.pgid,
		program: exe ?? "",
		args: args ?? [],
		// Kibibytes, as in /proc/<pid>/status.
		memoryBytes: (status.vm_rss ?? 0) * 1024,
	}));
}

const OF_LIST = { members: new Set(["pid", "threads"]) };
/** Go writes an empty list as null. */
const ProcessList = Type.Array(
	Type.Object({ pid: Type.Integer(), threads: Type.Union([Type.Null(), Type.Array(Type.Integer())]) }),
);

/** @throws Error when the engine's answer has another form */
function parseThreads(list: unknown): ReadonlyMap<number, number> {
	return new Map(Value.Parse(ProcessList, list).map(({ pid, threads }) => [pid, threads?.length ?? 0]));
}
