/** Raw inotify events of one watcher. Masks and meanings: inotify(7). */
import { SysdError } from "./errno.ts";
import { type Frame, FrameReader, FrameWriter } from "./frames.ts";
import type { Link } from "./link.ts";

export const IN = {
	MODIFY: 0x2,
	ATTRIB: 0x4,
	MOVED_FROM: 0x40,
	MOVED_TO: 0x80,
	CREATE: 0x100,
	DELETE: 0x200,
	DELETE_SELF: 0x400,
	MOVE_SELF: 0x800,
	Q_OVERFLOW: 0x4000,
	IGNORED: 0x8000,
	ONLYDIR: 0x1000000,
	ISDIR: 0x40000000,
} as const;

export interface RawEvent {
	readonly descriptor: number;
	readonly mask: number;
	/** Joins the two halves of a move. */
	readonly cookie: number;
	/** Name inside the watched directory; empty for the directory itself. */
	readonly name: string;
}

export class Inotify {
	private readonly link: Link;
	private readonly answers: ((frame: Frame | undefined) => void)[] = [];

	constructor(link: Link, onEvent: (event: RawEvent) => void, onClosed: () => void) {
		this.link = link;
		link.listen({
			frame: (frame) => {
				if (frame.type === "n") onEvent(readEvent(frame.payload));
				else this.answers.shift()?.(frame);
			},
			closed: () => {
				for (const answer of this.answers.splice(0)) answer(undefined);
				onClosed();
			},
		});
	}

	/**
	 * Watches a path and resolves with its descriptor, which is the same one when its inode is watched already.
	 * @throws SysdError
	 */
	async add(path: string, mask: number): Promise<number> {
		const frame = await this.request(new FrameWriter().u32(mask).string(path).frame("W"));
		const reader = new FrameReader(frame.payload);
		const errno = reader.u32();
		if (errno !== 0) throw new SysdError(errno, `watch ${path}`);
		return reader.u32();
	}

	/** No error when it is gone. */
	async remove(descriptor: number): Promise<void> {
		await this.request(new FrameWriter().u32(descriptor).frame("U"));
	}

	pause(): void {
		this.link.pause();
	}

	resume(): void {
		this.link.resume();
	}

	close(): void {
		this.link.close();
	}

	private request(frame: Buffer): Promise<Frame> {
		return new Promise((resolve, reject) => {
			this.answers.push((answer) =>
				answer === undefined ? reject(new Error("the connection to sysd was lost")) : resolve(answer),
			);
			this.link.send(frame);
		});
	}
}

function readEvent(payload: Buffer): RawEvent {
	const reader = new FrameReader(payload);
	return { descriptor: reader.u32(), mask: reader.u32(), cookie: reader.u32(), name: reader.string() };
}
