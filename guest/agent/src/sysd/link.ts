/** One connection to sysd that carries frames. */
import { createConnection, type Socket } from "node:net";
import { type Frame, FrameSplitter } from "./frames.ts";

export interface LinkListener {
	frame(frame: Frame): void;
	/** Called once; nothing comes after it. */
	closed(): void;
}

export const NO_LISTENER: LinkListener = { frame: () => undefined, closed: () => undefined };

export class Link {
	private readonly socket: Socket;
	private readonly splitter = new FrameSplitter();
	private listener = NO_LISTENER;
	private isClosed = false;

	private constructor(socket: Socket) {
		this.socket = socket;
		socket.on("data", (chunk: Buffer) => {
			for (const frame of this.splitter.push(chunk)) this.listener.frame(frame);
		});
		// A broken connection is reported by "close", which follows every error.
		socket.on("error", () => undefined);
		socket.once("close", () => {
			this.isClosed = true;
			this.listener.closed();
		});
	}

	/** @throws the socket's error if nobody listens there */
	static connect(path: string): Promise<Link> {
		return new Promise((resolve, reject) => {
			const socket = createConnection({ path });
			socket.once("error", reject);
			socket.once("connect", () => {
				socket.off("error", reject);
				resolve(new Link(socket));
			});
		});
	}

	get closed(): boolean {
		return this.isClosed;
	}

	/** Frames that came before there was a listener are lost: set it before sending. */
	listen(listener: LinkListener): void {
		this.listener = listener;
		if (this.isClosed) listener.closed();
	}

	send(frame: Buffer): void {
		this.socket.write(frame);
	}

	/** Stops taking data; sysd then stops taking it from the program. Frames already read still come. */
	pause(): void {
		this.socket.pause();
	}

	resume(): void {
		this.socket.resume();
	}

	close(): void {
		this.socket.destroy();
	}
}
