/** All processes that clients started, also those started before a crash of this daemon. */
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

export class ProcessRegistry {
	private readonly sysd: Sysd;
	/** The ends that will come to processes whose start was limited in time. */
	private readonly deadlines = new Map<ManagedProcess, NodeJS.Timeout>();
	private readonly processes = new Map<number, ManagedProcess>();

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

	/** SIGKILL or SIGTERM. */
	async signal(process: ManagedProcess, signal: number): Promise<void> {
		// First: sysd may have told the end already, behind output that nobody takes, and then knows no such process.
		process.cancel();
		await this.sysd.signal(process.pid, signal);
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
