/** The connection for requests with one answer each, which come back in order. It is opened again when it was lost. */
import { SysdError } from "./errno.ts";
import { type Frame, requireSendable } from "./frames.ts";
import { Link } from "./link.ts";

interface Pending {
	readonly frames: Frame[];
	resolve(frames: Frame[]): void;
	reject(error: Error): void;
}

/** Frames that precede the answer proper. */
const PARTIAL = "l";

export class ControlLink {
	private readonly path: string;
	private readonly onLost: () => void;
	private readonly pending: Pending[] = [];
	private opening: Promise<Link> | undefined;

	/** @param onLost called when sysd, or we, closed the connection */
	constructor(path: string, onLost: () => void) {
		this.path = path;
		this.onLost = onLost;
	}

	/**
	 * Resolves with the frames of the answer, the last being the closing one.
	 * @throws SysdError E2BIG for a frame that sysd would not take
	 */
	async request(frame: Buffer): Promise<Frame[]> {
		requireSendable(frame);
		const link = await this.open();
		return await new Promise((resolve, reject) => {
			this.pending.push({ frames: [], resolve, reject });
			link.send(frame);
		});
	}

	/**
	 * For requests that are acknowledged only.
	 * @throws SysdError with the errno
	 */
	async order(frame: Buffer, what: string): Promise<void> {
		const answer = (await this.request(frame)).at(-1);
		const errno = answer?.payload.readUInt32LE(0) ?? 0;
		if (errno !== 0) throw new SysdError(errno, what);
	}

	close(): void {
		void this.opening?.then((link) => link.close());
	}

	private open(): Promise<Link> {
		this.opening ??= this.connect();
		return this.opening;
	}

	private async connect(): Promise<Link> {
		try {
			const link = await Link.connect(this.path);
			link.listen({ frame: (frame) => this.take(frame), closed: () => this.lose() });
			return link;
		} catch (error) {
			this.opening = undefined;
			throw error;
		}
	}

	private take(frame: Frame): void {
		const first = this.pending[0];
		if (first === undefined) return;
		first.frames.push(frame);
		if (frame.type === PARTIAL) return;
		this.pending.shift();
		first.resolve(first.frames);
	}

	private lose(): void {
		this.opening = undefined;
		for (const request of this.pending.splice(0)) request.reject(new Error("the connection to sysd was lost"));
		this.onLost();
	}
}
