/**
 * A process that clients started: any number of subscribers get all its output from the moment they subscribed. While
 * one of them is full, output is not taken from the process, which then blocks on its pipe; without subscribers, and
 * for full ones once the process was killed, it is taken and dropped.
 */
import { Channel } from "../channel.ts";
import type { OutputKind, Program } from "../sysd/program.ts";
import { describeEnd, type Ending } from "./ending.ts";

export interface ProcessDescription {
	readonly cmd: string;
	readonly args: readonly string[];
	readonly envs: Readonly<Record<string, string>>;
	readonly cwd?: string | undefined;
	readonly tag?: string | undefined;
	/** What it was given as standard input. */
	readonly input: "pipe" | "null" | "pty";
}

export type ProcessEvent =
	| { readonly kind: OutputKind; readonly data: Uint8Array }
	| { readonly kind: "end"; readonly ending: Ending };

/** Bytes a subscriber may be behind. */
const SUBSCRIBER_LIMIT = 256 * 1024;

export class ManagedProcess {
	readonly description: ProcessDescription;
	private readonly program: Program;
	private readonly subscribers = new Set<Channel<ProcessEvent>>();
	private result: Ending | undefined;
	private inputClosed: boolean;
	private readonly onEnd: () => void;
	private begun = false;
	private killed = false;
	private exited = false;

	constructor(program: Program, description: ProcessDescription, onEnd: () => void) {
		this.program = program;
		this.description = description;
		this.inputClosed = description.input === "null";
		this.onEnd = onEnd;
	}

	/** Starts taking output. Before, all of it is kept for the first subscriber; no effect when called again. */
	begin(): void {
		if (this.begun) return;
		this.begun = true;
		this.program.listen({
			output: (kind, data) => this.publish({ kind, data }, data.length),
			end: (end) => {
				const ending = describeEnd(end);
				this.result = ending;
				this.publish({ kind: "end", ending }, 0);
				for (const subscriber of this.subscribers) subscriber.end();
				this.subscribers.clear();
				this.onEnd();
			},
		});
	}

	get pid(): number {
		return this.program.pid;
	}

	/** Set when the process has ended. */
	get ending(): Ending | undefined {
		return this.result;
	}

	/** Events from now on; of a process that has ended, its end. The subscriber closes the channel when it leaves. */
	subscribe(): Channel<ProcessEvent> {
		const channel: Channel<ProcessEvent> = new Channel(SUBSCRIBER_LIMIT, () => this.settle());
		if (this.result === undefined) {
			this.subscribers.add(channel);
			return channel;
		}
		channel.push({ kind: "end", ending: this.result }, 0);
		channel.end();
		return channel;
	}

	unsubscribe(channel: Channel<ProcessEvent>): void {
		this.subscribers.delete(channel);
		this.settle();
	}

	/** True while output is not taken because a subscriber is full. */
	get heldBack(): boolean {
		return !this.killed && !this.exited && [...this.subscribers].some((subscriber) => subscriber.full);
	}

	/** SIGKILL was sent. From now on who does not read loses output, for the end comes behind that. */
	noteKill(): void {
		this.killed = true;
		this.settle();
	}

	/** It has exited. What stands before its end is little: all subscribers get it, whether they have room or not. */
	noteExit(): void {
		this.exited = true;
		this.settle();
	}

	get acceptsInput(): boolean {
		return !this.inputClosed;
	}

	async write(data: Uint8Array): Promise<void> {
		await this.program.write(data);
	}

	async closeInput(): Promise<void> {
		this.inputClosed = true;
		await this.program.closeInput();
	}

	private publish(event: ProcessEvent, size: number): void {
		for (const subscriber of this.subscribers) {
			const lost = this.killed && subscriber.full && event.kind !== "end";
			if (!lost) subscriber.push(event, size);
		}
		this.settle();
	}

	private settle(): void {
		if (this.result !== undefined) return;
		if (this.heldBack) this.program.pause();
		else this.program.resume();
	}
}
