/** What a long command tells the person who waits, apart from how it is shown and in which process. */
export type ProgressEvent =
	| { readonly kind: "started"; readonly title: string }
	/** What the current step does right now; replaces the last one. */
	| { readonly kind: "detail"; readonly text: string }
	| { readonly kind: "done"; readonly title: string; readonly ms: number }
	| { readonly kind: "failed"; readonly title: string; readonly ms: number }
	/** A line that stays on screen. */
	| { readonly kind: "note"; readonly text: string };

export type ProgressSink = (event: ProgressEvent) => void;

export interface FinishedStep {
	readonly title: string;
	readonly ms: number;
}

/** Steps one after the other; each is announced before it begins. */
export class Progress {
	readonly #sinks: ProgressSink[];
	readonly #finished: FinishedStep[] = [];

	constructor(sink: ProgressSink) {
		this.#sinks = [sink];
	}

	/** From here on `sink` is told as well. */
	observe(sink: ProgressSink): void {
		this.#sinks.push(sink);
	}

	/** Steps that went well, in order. */
	get finished(): readonly FinishedStep[] {
		return this.#finished;
	}

	async step<T>(title: string, work: (detail: (text: string) => void) => Promise<T>): Promise<T> {
		const begin = performance.now();
		this.#sink({ kind: "started", title });
		try {
			const result = await work((text) => this.#sink({ kind: "detail", text }));
			this.#finish({ title, ms: performance.now() - begin });
			return result;
		} catch (error) {
			this.#sink({ kind: "failed", title, ms: performance.now() - begin });
			throw error;
		}
	}

	note(text: string): void {
		this.#sink({ kind: "note", text });
	}

	/** Shows what another process tells of its own steps as if they were taken here. */
	relay(event: ProgressEvent): void {
		if (event.kind === "done") this.#finish(event);
		else this.#sink(event);
	}

	#sink(event: ProgressEvent): void {
		for (const sink of this.#sinks) sink(event);
	}

	#finish({ title, ms }: FinishedStep): void {
		this.#finished.push({ title, ms });
		this.#sink({ kind: "done", title, ms });
	}
}

export function formatDuration(ms: number): string {
	if (ms < 1000) return `${Math.round(ms)} ms`;
	if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
	const seconds = Math.round(ms / 1000);
	return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
