/**
 * What the daemon asks of sysd, the small process below it (guest/agent/sysd): programs, inotify, attributes, host
 * name, clock, and a place for what must survive a crash of the daemon.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ControlLink } from "./control.ts";
import { SysdError } from "./errno.ts";
import { FrameReader, FrameWriter, requireSendable } from "./frames.ts";
import { Inotify, type RawEvent } from "./inotify.ts";
import { Link } from "./link.ts";
import { Program } from "./program.ts";

export interface SpawnRequest {
	/** Looked up in the PATH of `environment` unless it has a slash. */
	readonly program: string;
	readonly args: readonly string[];
	readonly environment: Readonly<Record<string, string>>;
	readonly cwd: string;
	readonly uid: number;
	readonly gid: number;
	readonly groups: readonly number[];
	/** Given back by `list`. */
	readonly description: string;
	/** "null": the program reads from /dev/null. A terminal's size makes it run on one. */
	readonly input: "pipe" | "null" | TerminalSize;
}

export interface TerminalSize {
	readonly columns: number;
	readonly rows: number;
}

export interface ListedProgram {
	readonly pid: number;
	readonly description: string;
}

/** What could not be done for a new program. The order is that of `enum launch_stage` in sysd.h. */
const STAGES = ["resources", "credentials", "cwd", "exec"] as const;
export type SpawnStage = (typeof STAGES)[number];

export class SpawnError extends SysdError {
	readonly stage: SpawnStage;

	constructor(stage: SpawnStage, errno: number, what: string) {
		super(errno, what);
		this.stage = stage;
	}
}

/** Bytes of paths that are asked about in one request: it holds up all others, and its answer is built in memory. */
const ATTRIBUTES_BATCH = 1024 * 1024;

const FLAG_PTY = 1;
const FLAG_NO_STDIN = 2;

export class Sysd {
	private readonly path: string;
	private readonly control: ControlLink;
	/** A connection without a program. */
	private spare: Link | undefined;
	/** The connection that is told of checkpoints. */
	private checkpoints: Link | undefined;
	private replaced: () => void = () => undefined;
	private isClosed = false;

	constructor(socketPath: string) {
		this.path = socketPath;
		this.control = new ControlLink(socketPath, () => this.replaced());
	}

	/** `listener` is called when sysd has ended; the supervisor starts another, which knows nothing. */
	onReplaced(listener: () => void): void {
		this.replaced = listener;
	}

	/** Waits until sysd answers. @throws the last error when it does not within `limitMs` */
	async ready(limitMs: number): Promise<void> {
		for (const end = Date.now() + limitMs; ; await sleep(5)) {
			try {
				await this.control.request(new FrameWriter().frame("G"));
				this.keepLink(await Link.connect(this.path));
				return;
			} catch (error) {
				if (Date.now() > end) throw error;
			}
		}
	}

	/** @throws SpawnError */
	async spawn(request: SpawnRequest): Promise<Program> {
		const size = typeof request.input === "object" ? request.input : undefined;
		const flags = (size === undefined ? 0 : FLAG_PTY) | (request.input === "null" ? FLAG_NO_STDIN : 0);
		const frame = new FrameWriter()
			.u32(flags, size?.columns ?? 0, size?.rows ?? 0, request.uid, request.gid)
			.u32(request.groups.length, ...request.groups)
			.string(request.cwd)
			.string(request.program)
			.strings([request.program, ...request.args])
			.strings(Object.entries(request.environment).map(([name, value]) => `${name}=${value}`))
			.string(request.description)
			.frame("S");
		requireStartable(frame, request.program);
		return await this.start(frame, request.program);
	}

	/** Takes over a program that was started before this daemon. @throws SpawnError if there is none */
	async attach(pid: number): Promise<Program> {
		return await this.start(new FrameWriter().u32(pid).frame("T"), `process ${pid}`);
	}

	async list(): Promise<readonly ListedProgram[]> {
		const frames = await this.control.request(new FrameWriter().frame("L"));
		return frames.slice(0, -1).map((frame) => {
			const reader = new FrameReader(frame.payload);
			return { pid: reader.u32(), description: reader.string() };
		});
	}

	/** @throws SysdError ESRCH when it has ended */
	async signal(pid: number, signal: number): Promise<void> {
		await this.control.order(new FrameWriter().u32(pid, signal).frame("K"), `signal to process ${pid}`);
	}

	async resize(pid: number, size: TerminalSize): Promise<void> {
		await this.control.order(new FrameWriter().u32(pid, size.columns, size.rows).frame("R"), `resize of process ${pid}`);
	}

	async watch(onEvent: (event: RawEvent) => void, onClosed: () => void): Promise<Inotify> {
		return new Inotify(await Link.connect(this.path), onEvent, onClosed);
	}

	/**
	 * Calls `onCheckpoint` with what gVisor says after every checkpoint: `resume`, `restore` or `error`. Resolves when
	 * that has begun. Takes the place of a watch before: each is a process of its own, and two would tell everything twice.
	 * @throws SysdError ENOENT on other kernels
	 */
	async watchCheckpoints(onCheckpoint: (outcome: string) => void, onClosed: () => void): Promise<void> {
		this.checkpoints?.close();
		const link = await Link.connect(this.path);
		this.checkpoints = link;
		const errno = await new Promise<number>((resolve, reject) => {
			link.listen({
				frame: ({ type, payload }) => {
					if (type === "A") resolve(payload.readUInt32LE(0));
					else onCheckpoint(payload.toString().trim());
				},
				closed: () => {
					reject(new Error("the connection to sysd was lost"));
					onClosed();
				},
			});
			link.send(new FrameWriter().frame("Q"));
		});
		if (errno !== 0) throw new SysdError(errno, "watch checkpoints");
	}

	/** The `user.e2b.*` attributes of each path, names without the prefix; none for what cannot be read. */
	async attributes(paths: readonly string[]): Promise<readonly Record<string, string>[]> {
		const found: Record<string, string>[] = [];
		for (const batch of batches(paths, ATTRIBUTES_BATCH)) {
			const [frame] = await this.control.request(new FrameWriter().strings(batch).frame("M"));
			const reader = new FrameReader(frame?.payload ?? Buffer.alloc(0));
			for (const _ of batch) found.push(readAttributes(reader));
		}
		return found;
	}

	/** Replaces all `user.e2b.*` attributes of a file. @throws SysdError */
	async setAttributes(path: string, attributes: Readonly<Record<string, string>>): Promise<void> {
		const entries = Object.entries(attributes);
		const writer = new FrameWriter().string(path).u32(entries.length);
		for (const [name, value] of entries) writer.string(name).string(value);
		await this.control.order(writer.frame("N"), `metadata of ${path}`);
	}

	async setHostname(name: string): Promise<void> {
		await this.control.order(new FrameWriter().string(name).frame("H"), "set host name");
	}

	async setClock(msSinceEpoch: number): Promise<void> {
		await this.control.order(new FrameWriter().u64(msSinceEpoch).frame("D"), "set clock");
	}

	/** Keeps `data` in sysd's memory in place of what was kept before. */
	async keep(data: string): Promise<void> {
		await this.control.order(new FrameWriter().raw(Buffer.from(data)).frame("B"), "keep state");
	}

	/** What was kept last; empty if nothing was. */
	async kept(): Promise<string> {
		const [frame] = await this.control.request(new FrameWriter().frame("G"));
		return frame?.payload.toString() ?? "";
	}

	close(): void {
		this.isClosed = true;
		this.onReplaced(() => undefined);
		this.control.close();
		this.checkpoints?.close();
		this.spare?.close();
	}

	private async start(frame: Buffer, what: string): Promise<Program> {
		return await startProgram(await this.takeLink(), frame, what, (link) => this.keepLink(link));
	}

	private async takeLink(): Promise<Link> {
		const { spare } = this;
		this.spare = undefined;
		return spare === undefined || spare.closed ? await Link.connect(this.path) : spare;
	}

	/** For the next program: a connection made for each would be a part of what a command takes. */
	private keepLink(link: Link): void {
		if (this.isClosed || (this.spare !== undefined && !this.spare.closed)) link.close();
		else this.spare = link;
	}
}

/** What sysd would not take, the kernel would not run either: its own limit for arguments is lower. @throws SpawnError */
function requireStartable(frame: Buffer, what: string): void {
	try {
		requireSendable(frame);
	} catch (error) {
		throw error instanceof SysdError ? new SpawnError("exec", error.errno, what) : error;
	}
}

function startProgram(link: Link, frame: Buffer, what: string, onFree: (link: Link) => void): Promise<Program> {
	return new Promise((resolve, reject) => {
		link.listen({
			frame: ({ type, payload }) => {
				if (type === "P") resolve(new Program(link, payload.readUInt32LE(0), onFree));
				if (type !== "E") return;
				const reader = new FrameReader(payload);
				const stage = STAGES[reader.u32()] ?? "resources";
				reject(new SpawnError(stage, reader.u32(), what));
			},
			closed: () => reject(new Error("the connection to sysd was lost")),
		});
		link.send(frame);
	});
}

function readAttributes(reader: FrameReader): Record<string, string> {
	const attributes: Record<string, string> = {};
	while (!reader.atEnd && reader.u32() === 1) {
		const name = reader.string();
		attributes[name] = reader.string();
	}
	return attributes;
}

/** The texts in their order, cut into groups of at least one text and of little more than `limit` bytes. */
function* batches(texts: readonly string[], limit: number): Generator<readonly string[]> {
	let start = 0;
	let size = 0;
	for (const [index, text] of texts.entries()) {
		size += Buffer.byteLength(text);
		if (size < limit) continue;
		yield texts.slice(start, index + 1);
		start = index + 1;
		size = 0;
	}
	if (start < texts.length) yield texts.slice(start);
}
