/** A running program, as sysd tells of it: output, end, and a way to give it input. */
import { SysdError } from "./errno.ts";
import { type Frame, FrameReader, FrameWriter } from "./frames.ts";
import { type Link, NO_LISTENER } from "./link.ts";

export type OutputKind = "stdout" | "stderr" | "pty";

export interface ProgramEnd {
	/** Meaningful when `signal` is 0. */
	readonly exitCode: number;
	/** Number of the signal that ended it, or 0. */
	readonly signal: number;
	readonly coreDumped: boolean;
}

export interface ProgramListener {
	output(kind: OutputKind, data: Buffer): void;
	/** After all output. Undefined: sysd itself is gone, and with it what is known of the program. */
	end(end: ProgramEnd | undefined): void;
}

const OUTPUT: Readonly<Record<string, OutputKind>> = { o: "stdout", e: "stderr", t: "pty" };

const EPIPE = 32;

/** sysd takes larger input in one piece, but a program that does not read would make us both hold it. */
const INPUT_PIECE = 64 * 1024;

export class Program {
	readonly pid: number;
	private readonly link: Link;
	private readonly onFree: (link: Link) => void;
	private readonly acknowledgements: ((errno: number) => void)[] = [];
	private listener: ProgramListener | undefined;
	/** What came before the listener was set. */
	private early: Frame[] = [];
	private ended = false;
	private lost = false;

	/** @param onFree is given the link when the program has ended and nothing more will come of it */
	constructor(link: Link, pid: number, onFree: (link: Link) => void) {
		this.link = link;
		this.onFree = onFree;
		this.pid = pid;
		link.listen({ frame: (frame) => this.take(frame), closed: () => this.lose() });
	}

	listen(listener: ProgramListener): void {
		this.listener = listener;
		const early = this.early;
		this.early = [];
		for (const frame of early) this.take(frame);
		if (this.lost) this.end(undefined);
	}

	/**
	 * Resolves when the program's pipe or terminal took all of `data`.
	 * @throws SysdError EPIPE when its input is closed
	 */
	async write(data: Uint8Array): Promise<void> {
		for (let at = 0; at < data.length; at += INPUT_PIECE) {
			await this.request(new FrameWriter().raw(data.subarray(at, at + INPUT_PIECE)).frame("I"), "write");
		}
	}

	/** Closes the input; no error when it is closed, be it because the program ended of it before this was acknowledged. */
	async closeInput(): Promise<void> {
		try {
			await this.request(new FrameWriter().frame("C"), "close");
		} catch (error) {
			if (!(error instanceof SysdError) || error.code !== "EPIPE") throw error;
		}
	}

	pause(): void {
		this.link.pause();
	}

	resume(): void {
		this.link.resume();
	}

	private request(frame: Buffer, what: string): Promise<void> {
		return new Promise((resolve, reject) => {
			if (this.ended || this.lost) {
				reject(new SysdError(EPIPE, what));
				return;
			}
			this.acknowledgements.push((errno) => (errno === 0 ? resolve() : reject(new SysdError(errno, what))));
			this.link.send(frame);
		});
	}

	private take(frame: Frame): void {
		if (frame.type === "A") {
			this.acknowledgements.shift()?.(frame.payload.readUInt32LE(0));
			return;
		}
		if (this.listener === undefined) {
			this.early.push(frame);
			return;
		}
		const kind = OUTPUT[frame.type];
		if (kind !== undefined) this.listener.output(kind, frame.payload);
		if (frame.type === "X") {
			this.leaveLink();
			this.end(readEnd(frame.payload));
		}
	}

	/** Acknowledgements that are yet to come would be taken for those of the link's next program. */
	private leaveLink(): void {
		this.link.listen(NO_LISTENER);
		this.link.resume();
		if (this.acknowledgements.length === 0) this.onFree(this.link);
		else this.link.close();
	}

	private lose(): void {
		this.lost = true;
		if (this.listener !== undefined) this.end(undefined);
	}

	private end(end: ProgramEnd | undefined): void {
		if (this.ended) return;
		this.ended = true;
		for (const acknowledge of this.acknowledgements.splice(0)) acknowledge(EPIPE);
		this.listener?.end(end);
	}
}

function readEnd(payload: Buffer): ProgramEnd {
	const reader = new FrameReader(payload);
	return { exitCode: reader.u32(), signal: reader.u32(), coreDumped: reader.u32() !== 0 };
}
