/** A file that takes no byte for now, as one on a busy machine. */
import { execFileSync } from "node:child_process";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** More than a pipe holds. Bytes. */
const CHUNK = 1024 * 1024;

export class SlowFile {
	readonly path: string;
	readonly #pipe: FileHandle;

	private constructor(path: string, pipe: FileHandle) {
		this.path = path;
		this.#pipe = pipe;
	}

	/** Makes the file: whoever writes to it waits. */
	static async make(path: string): Promise<SlowFile> {
		execFileSync("mkfifo", [path]);
		const pipe = await open(path, constants.O_RDWR | constants.O_NONBLOCK);
		await pipe.write(Buffer.alloc(CHUNK));
		return new SlowFile(path, pipe);
	}

	/** Takes what is written, from now on. */
	async release(): Promise<void> {
		await this.#pipe.read(Buffer.alloc(CHUNK));
	}

	async close(): Promise<void> {
		// A writer that still waits would wait for ever.
		await this.release().catch(() => undefined);
		await this.#pipe.close();
	}
}
