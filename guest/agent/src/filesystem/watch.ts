/**
 * Watches a directory, with all below it if wanted. New sub-directories are watched as they appear; what was put into
 * them before the watch stood is told as created.
 */
import { readdir } from "node:fs/promises";
import { posix } from "node:path";
import { EventType } from "../../../../src/protocol/gen/filesystem_pb.js";
import { IN, type Inotify, type RawEvent } from "../sysd/inotify.ts";
import type { Sysd } from "../sysd/sysd.ts";

export interface WatchEvent {
	/** Relative to the watched directory; `.` for itself. */
	readonly name: string;
	readonly path: string;
	readonly type: EventType;
}

export interface WatchOptions {
	readonly path: string;
	readonly recursive: boolean;
	readonly onEvent: (event: WatchEvent) => void;
	/** Events stop: sysd is gone. */
	readonly onClosed: () => void;
}

const MASK =
	IN.MODIFY | IN.ATTRIB | IN.MOVED_FROM | IN.MOVED_TO | IN.CREATE | IN.DELETE | IN.DELETE_SELF | IN.MOVE_SELF | IN.ONLYDIR;

/** In the order in which one raw event with several meanings is told. */
const MEANINGS: readonly (readonly [mask: number, type: EventType])[] = [
	[IN.CREATE | IN.MOVED_TO, EventType.CREATE],
	[IN.MOVED_FROM | IN.MOVE_SELF, EventType.RENAME],
	[IN.ATTRIB, EventType.CHMOD],
	[IN.MODIFY, EventType.WRITE],
	[IN.DELETE | IN.DELETE_SELF, EventType.REMOVE],
];

/** Time after which a directory that was moved away without arriving here is let go, ms. */
const MOVE_GRACE_MS = 200;

/** Raw events waiting for their turn above which no more are taken from sysd. */
const MAX_WAITING = 4096;

export class DirectoryWatch {
	private readonly options: WatchOptions;
	private readonly directories = new Map<number, string>();
	/** Told as created by a scan; the kernel's own event for them may follow and is left out. */
	private readonly scanned = new Set<string>();
	private inotify: Inotify | undefined;
	/** Events are handled one after the other: a new directory is told of once its own watch stands. */
	private turn: Promise<void> = Promise.resolve();
	private waiting = 0;
	private isPaused = false;

	private constructor(options: WatchOptions) {
		this.options = options;
	}

	/** Resolves when the watch stands. @throws errno errors: ENOENT, ENOTDIR */
	static async open(sysd: Sysd, options: WatchOptions): Promise<DirectoryWatch> {
		const watch = new DirectoryWatch(options);
		watch.inotify = await sysd.watch((event) => watch.take(event), options.onClosed);
		try {
			await watch.add(options.path);
			if (options.recursive) await watch.addBelow(options.path, () => undefined);
		} catch (error) {
			watch.close();
			throw error;
		}
		return watch;
	}

	/** While paused, events wait in the kernel's queue. */
	pause(): void {
		this.isPaused = true;
		this.settle();
	}

	resume(): void {
		this.isPaused = false;
		this.settle();
	}

	close(): void {
		this.inotify?.close();
	}

	private settle(): void {
		if (this.isPaused || this.waiting > MAX_WAITING) this.inotify?.pause();
		else this.inotify?.resume();
	}

	private async add(directory: string): Promise<void> {
		const descriptor = await this.inotify?.add(directory, MASK);
		if (descriptor !== undefined) this.directories.set(descriptor, directory);
	}

	/** Watches what is below; a directory that vanishes meanwhile is left out. */
	private async addBelow(directory: string, found: (path: string) => void): Promise<void> {
		const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
		for (const entry of entries) {
			const path = posix.join(directory, entry.name);
			if (entry.isDirectory()) await this.add(path).catch(() => undefined);
			found(path);
			if (entry.isDirectory()) await this.addBelow(path, found);
		}
	}

	private take(event: RawEvent): void {
		this.waiting += 1;
		if (this.waiting > MAX_WAITING) this.settle();
		this.turn = this.turn
			.then(() => this.handle(event))
			.catch(() => undefined)
			.then(() => {
				this.waiting -= 1;
				if (this.waiting === MAX_WAITING) this.settle();
			});
	}

	private async handle(event: RawEvent): Promise<void> {
		const directory = this.directories.get(event.descriptor);
		if (directory === undefined) return;
		if (event.mask & IN.IGNORED) {
			this.directories.delete(event.descriptor);
			return;
		}
		// Directories below the root are told of by the watch on their parent.
		if (event.name === "" && directory !== this.options.path) return;
		const path = posix.join(directory, event.name);
		const inner = this.options.recursive && (event.mask & IN.ISDIR) !== 0 && event.name !== "";
		if (inner && event.mask & (IN.CREATE | IN.MOVED_TO)) await this.add(path).catch(() => undefined);
		this.tell(path, event.mask);
		if (inner) await this.follow(path, event.mask);
	}

	private tell(path: string, mask: number): void {
		const told = this.scanned.delete(path) && (mask & IN.CREATE) !== 0;
		if (told) return;
		const name = posix.relative(this.options.path, path) || ".";
		for (const [bits, type] of MEANINGS) {
			if (mask & bits) this.options.onEvent({ name, path, type });
		}
	}

	private async follow(directory: string, mask: number): Promise<void> {
		if (mask & IN.MOVED_FROM) setTimeout(() => this.releaseInTurn(directory), MOVE_GRACE_MS).unref();
		if (mask & IN.CREATE) await this.addBelow(directory, (path) => this.tellScanned(path));
		// What a moved directory brings along is not new.
		if (mask & IN.MOVED_TO) await this.addBelow(directory, () => undefined);
	}

	private tellScanned(path: string): void {
		this.tell(path, IN.CREATE);
		this.scanned.add(path);
	}

	private releaseInTurn(directory: string): void {
		this.turn = this.turn.then(() => this.release(directory)).catch(() => undefined);
	}

	/**
	 * After a move inside the tree the descriptors have new paths already. Those with the old one are outside, unless what
	 * has that path now is the very directory: the kernel gives the descriptor that an inode has already.
	 */
	private async release(directory: string): Promise<void> {
		for (const [descriptor, path] of [...this.directories]) {
			if (path !== directory && !path.startsWith(`${directory}/`)) continue;
			const present = await this.inotify?.add(path, MASK).catch(() => undefined);
			if (present === descriptor) continue;
			this.directories.delete(descriptor);
			if (present !== undefined) this.directories.set(present, path);
			await this.inotify?.remove(descriptor).catch(() => undefined);
		}
	}
}
