/** Watches that collect their events until they are asked for. They live until they are removed. */
import { randomUUID } from "node:crypto";
import type { FilesystemEvent } from "./events.ts";

/** Events kept for a client that does not ask; the oldest go first. */
const MAX_QUEUED = 65_536;

interface Closable {
	close(): void;
}

export class Watcher {
	private readonly queue: Promise<FilesystemEvent>[] = [];
	private watch: Closable | undefined;

	push(event: Promise<FilesystemEvent>): void {
		this.queue.push(event);
		if (this.queue.length > MAX_QUEUED) void this.queue.shift();
	}

	async drain(): Promise<FilesystemEvent[]> {
		return await Promise.all(this.queue.splice(0));
	}

	own(watch: Closable): void {
		this.watch = watch;
	}

	close(): void {
		this.watch?.close();
	}
}

export class Watchers {
	private readonly watchers = new Map<string, Watcher>();

	add(watcher: Watcher): string {
		const id = randomUUID();
		this.watchers.set(id, watcher);
		return id;
	}

	get(id: string): Watcher | undefined {
		return this.watchers.get(id);
	}

	/** False: there is none. */
	remove(id: string): boolean {
		this.watchers.get(id)?.close();
		return this.watchers.delete(id);
	}
}
