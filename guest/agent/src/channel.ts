/**
 * A queue between one that produces events and one stream that sends them. The producer sees when it grows too long
 * and is told when there is room again; nothing is dropped.
 */

export type Next<T> = { readonly value: T } | "idle" | "closed";

interface Entry<T> {
	readonly value: T;
	readonly size: number;
}

export class Channel<T> {
	private readonly limit: number;
	private readonly onRoom: () => void;
	private readonly entries: Entry<T>[] = [];
	private held = 0;
	private isClosed = false;
	private wake: (() => void) | undefined;

	/**
	 * @param limit size above which the channel counts as full
	 * @param onRoom called when a full channel has room again or was closed
	 */
	constructor(limit: number, onRoom: () => void) {
		this.limit = limit;
		this.onRoom = onRoom;
	}

	get full(): boolean {
		return !this.isClosed && this.held >= this.limit;
	}

	push(value: T, size: number): void {
		if (this.isClosed) return;
		this.entries.push({ value, size });
		this.held += size;
		this.wake?.();
	}

	/** What was pushed before is still delivered. */
	end(): void {
		this.isClosed = true;
		this.wake?.();
	}

	/** Throws away what is left: the reader has gone. */
	close(): void {
		const wasFull = this.full;
		this.entries.length = 0;
		this.held = 0;
		this.end();
		if (wasFull) this.onRoom();
	}

	/** The next value; "idle" when none comes within `idleMs`; "closed" after the last. */
	async next(idleMs: number): Promise<Next<T>> {
		if (this.entries.length === 0 && !this.isClosed) await this.wait(idleMs);
		const entry = this.entries.shift();
		if (entry === undefined) return this.isClosed ? "closed" : "idle";
		const wasFull = this.full;
		this.held -= entry.size;
		if (wasFull && !this.full) this.onRoom();
		return { value: entry.value };
	}

	private wait(idleMs: number): Promise<void> {
		return new Promise((resolve) => {
			const timer = setTimeout(() => this.wake?.(), idleMs);
			this.wake = () => {
				clearTimeout(timer);
				this.wake = undefined;
				resolve();
			};
		});
	}
}
