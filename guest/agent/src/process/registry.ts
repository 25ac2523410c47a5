/** All processes that clients started, also those started before a crash of this daemon. */
import { setTimeout as sleep } from "node:timers/promises";
import { SysdError } from "../sysd/errno.ts";
import type { Program } from "../sysd/program.ts";
import type { Sysd } from "../sysd/sysd.ts";
import type { Launch } from "./launch.ts";
import { ManagedProcess, type ProcessDescription } from "./managed.ts";

/** Time during which the end of a process can still be asked for, ms. Source: E2B wire protocol. */
const REMEMBER_MS = 30_000;

/**
 * Between the end of a request's time and the end of its process, ms. After a restore a request of the source may seem
 * over time at once, since the clock went on while the image lay on disk: the news of the restore must come first.
 */
const RESTORE_NOTICE_MS = 1_000;
const SIGKILL = 9;
/** Sent to nobody: tells whether the process is there. */
const NO_SIGNAL = 0;

/** How often a process that shall end, and whose output is not taken, is looked after, ms. */
const EXIT_CHECK_MS = 500;

export class ProcessRegistry {
	private readonly sysd: Sysd;
	/** The ends that will come to processes whose start was limited in time. */
	private readonly deadlines = new Map<ManagedProcess, NodeJS.Timeout>();
	private readonly processes = new Map<number, ManagedProcess>();
	/** Those that were sent SIGTERM. */
	private readonly terminating = new Set<ManagedProcess>();

	constructor(sysd: Sysd) {
		this.sysd = sysd;
	}

	/** Takes over the processes that sysd still has. */
	async recover(): Promise<void> {
		for (const { pid, description } of await this.sysd.list()) {
			if (description === "") continue;
			const parsed: ProcessDescription = JSON.parse(description);
			this.add(await this.sysd.attach(pid), parsed).begin();
		}
	}

	/** The caller subscribes and then lets the process begin. @throws SpawnError */
	async start(launch: Launch, description: ProcessDescription): Promise<ManagedProcess> {
		const program = await this.sysd.spawn({ ...launch, description: JSON.stringify(description) });
		return this.add(program, description);
	}

	running(): readonly ManagedProcess[] {
		return [...this.processes.values()].filter((process) => process.ending === undefined);
	}

	/** Also a process that ended less than 30 s ago. */
	byPid(pid: number): ManagedProcess | undefined {
		return this.processes.get(pid);
	}

	byTag(tag: string): ManagedProcess | undefined {
		const tagged = [...this.processes.values()].filter((process) => process.description.tag === tag);
		return tagged.find((process) => process.ending === undefined) ?? tagged.at(-1);
	}

	/**
	 * SIGKILL or SIGTERM. A subscriber that does not read keeps neither from ending the process, nor the others from being
	 * told; a process that goes on after SIGTERM is held back by it as before, and loses nothing.
	 * @throws SysdError ESRCH when it has ended
	 */
	async signal(process: ManagedProcess, signal: number): Promise<void> {
		await this.send(process, signal);
		if (signal === SIGKILL) process.noteKill();
		else void this.awaitExit(process);
	}

	private async send(process: ManagedProcess, signal: number): Promise<void> {
		try {
			await this.sysd.signal(process.pid, signal);
		} catch (error) {
			if (isMissing(error)) process.noteExit();
			throw error;
		}
	}

	/** The end of a process stands behind output that nobody may take: sysd is asked whether it has come. */
	private async awaitExit(process: ManagedProcess): Promise<void> {
		if (this.terminating.has(process)) return;
		this.terminating.add(process);
		while (process.ending === undefined) {
			await sleep(EXIT_CHECK_MS);
			if (process.heldBack) await this.send(process, NO_SIGNAL).catch(() => undefined);
		}
		this.terminating.delete(process);
	}

	/**
	 * Ends a process when the time of its start is over, also if its client has left by then; not in a copy of this
	 * memory, where nobody waits for it.
	 */
	endAfter(process: ManagedProcess, limitMs: number): void {
		if (process.ending !== undefined) return;
		const overdue = () => this.deadlines.set(process, setTimeout(end, RESTORE_NOTICE_MS));
		const end = () => {
			this.deadlines.delete(process);
			void this.signal(process, SIGKILL).catch(() => undefined);
		};
		this.deadlines.set(process, setTimeout(overdue, limitMs));
	}

	/** After a restore: the requests belong to the source, and so do their deadlines. */
	forgetDeadlines(): void {
		for (const process of [...this.deadlines.keys()]) this.forgetDeadline(process);
	}

	private forgetDeadline(process: ManagedProcess): void {
		clearTimeout(this.deadlines.get(process));
		this.deadlines.delete(process);
	}

	async resize(process: ManagedProcess, columns: number, rows: number): Promise<void> {
		await this.sysd.resize(process.pid, { columns, rows });
	}

	private add(program: Program, description: ProcessDescription): ManagedProcess {
		const process = new ManagedProcess(program, description, () => this.forgetLater(process));
		this.processes.set(process.pid, process);
		return process;
	}

	private forgetLater(ended: ManagedProcess): void {
		this.forgetDeadline(ended);
		setTimeout(() => {
			// The kernel may have given the pid to another process since.
			if (this.processes.get(ended.pid) === ended) this.processes.delete(ended.pid);
		}, REMEMBER_MS).unref();
	}
}

function isMissing(error: unknown): boolean {
	return error instanceof SysdError && error.code === "ESRCH";
}
