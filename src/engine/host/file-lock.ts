/**
 * An exclusive lock between processes, named by a file. The kernel frees it when its holder ends, however it ends, so
 * a crash never leaves a stale one behind; and two that start at the same instant cannot both get it.
 *
 * Node has no flock(2) of its own. SQLite's exclusive transaction is an fcntl(2) record lock on the file, which has
 * exactly these properties; nothing is ever stored in it.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

const SQLITE_BUSY = 5;
const RETRY_MS = 200;

export class FileLock implements Disposable {
	readonly #database: DatabaseSync;

	private constructor(database: DatabaseSync) {
		this.#database = database;
	}

	/** Takes the lock, or returns undefined when another process (or another lock object) holds it. */
	static tryAcquire(path: string): FileLock | undefined {
		mkdirSync(dirname(path), { recursive: true });
		const database = new DatabaseSync(path, { timeout: 0 });
		try {
			// Nothing is written, so there is nothing to roll back, and no journal file to leave behind.
			database.exec("PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE");
			return new FileLock(database);
		} catch (error) {
			database.close();
			if (isBusy(error)) return undefined;
			throw error;
		}
	}

	/** Waits until the lock is free. `onWait` is called once if it has to. Throws the signal's reason when aborted. */
	static async acquire(path: string, onWait: () => void, signal: AbortSignal): Promise<FileLock> {
		signal.throwIfAborted();
		const first = FileLock.tryAcquire(path);
		if (first !== undefined) return first;
		onWait();
		for (;;) {
			await sleep(RETRY_MS, undefined, { signal }).catch((error: unknown) => {
				signal.throwIfAborted();
				throw error;
			});
			const lock = FileLock.tryAcquire(path);
			if (lock !== undefined) return lock;
		}
	}

	[Symbol.dispose](): void {
		if (this.#database.isOpen) this.#database.close();
	}
}

function isBusy(error: unknown): boolean {
	return error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
}
