import { pino } from "pino";
import type { ContainerLimits, GuestProcess, SandboxEngine } from "../../../engine/index.ts";
import type { ContainerRecord } from "../../records.ts";
import type { Relief } from "../relief.ts";

/**
 * A guest that is a list of processes. What is ended in it goes at once, or stays while it is `immortal`, as in one that
 * stands still.
 */
export const MB = 1024 * 1024;
const ENGINE_BYTES = 20 * MB;
const TASKS_PER_PROGRAM = 2;
export const MAX_PROGRAMS = 1024;

export class FakeGuest {
	processes: readonly GuestProcess[] = [];
	/** Of the processes that have more than one. */
	readonly threads = new Map<number, number>();
	/** Forks that failed. */
	refused = 0;
	immortal = false;
	leftAlone = false;
	/** Asked whenever somebody wants to know its processes. */
	onAsked: () => void = () => {};
	/** What was ended in it, in order. */
	readonly ended: string[] = [];
	/** What its user was told. */
	readonly told: string[] = [];
	readonly record: ContainerRecord = RECORD;

	get limits(): ContainerLimits {
		return {
			maxTasks: 6144,
			usage: () => ({ chargedBytes: this.#bytes() + ENGINE_BYTES, tasks: TASKS_PER_PROGRAM * this.#programs() }),
			pressure: () => ({ guestBytes: this.#bytes(), engineBytes: ENGINE_BYTES, oomKills: 0, tasksRefused: 0 }),
			tighten: async () => {},
			processes: async () => {
				this.onAsked();
				return this.processes;
			},
			threads: async () => this.threads,
			killProcess: async (_, pid) => this.#end(`process ${pid}`, (process) => process.pid === pid),
			killGroup: async (_, groupId) => this.#end(`group ${groupId}`, (process) => process.groupId === groupId),
			programs: async () => ({ count: this.#programs(), max: MAX_PROGRAMS, refused: this.refused }),
			killPrograms: async () => this.#end("everything", () => true),
		};
	}

	get engine(): Pick<SandboxEngine, "limits" | "whileStill" | "resume"> {
		return { limits: this.limits, whileStill: (_, work) => work(), resume: async () => {} };
	}

	get relief(): Relief {
		return {
			engine: this.engine,
			limits: this.limits,
			record: this.record,
			log: pino({ level: "silent" }),
			isLeftAlone: () => this.leftAlone,
			tell: (what) => void this.told.push(what),
		};
	}

	#bytes(): number {
		return this.processes.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
	}

	#programs(): number {
		return this.processes.reduce((sum, { pid }) => sum + (this.threads.get(pid) ?? 1), 0);
	}

	#end(what: string, isEnded: (process: GuestProcess) => boolean): void {
		this.ended.push(what);
		if (!this.immortal) this.processes = this.processes.filter((process) => !isEnded(process));
	}
}

export function fakeProcess(pid: number, change: Partial<GuestProcess> = {}): GuestProcess {
	return { pid, parentPid: 1, groupId: pid, program: "/usr/bin/python3", args: ["python3"], memoryBytes: MB, ...change };
}

/** `count` processes of one group. */
export function fakeFamily(groupId: number, count: number, change: Partial<GuestProcess> = {}): GuestProcess[] {
	return Array.from({ length: count }, (_, index) => fakeProcess(groupId + index, { groupId, ...change }));
}

export const RECORD: ContainerRecord = {
	containerId: "sandbox-1",
	sandboxId: "sandbox",
	incarnation: 1,
	operationId: "operation",
	templateId: "base",
	artifactId: "artifact",
	phase: "ready",
	pid: 1,
	slot: { index: 1, netnsPath: "/run/netns/1", address: "10.0.0.1" },
	engine: { version: "1", sha256: "00" },
	rootfs: { id: "rootfs", digest: "00" },
	cpuFeatures: [],
	agent: { version: "1", controlProtocol: 1 },
	resources: { cpuCount: 2, memoryMB: 1024, diskSizeMB: 1024 },
	spec: {},
	controlKey: "",
	generation: 1,
};
