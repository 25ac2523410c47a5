/**
 * What the processes of a sandbox print where no client listens: its supervisor, its guest agent, its interpreter. The
 * engine holds it for us, outside what the sandbox is limited to; so it is emptied many times a second, also while a
 * sandbox is being started, and a sandbox that prints without end is ended. What its limits did to a sandbox goes the
 * same way.
 */
import type { Engines } from "../engine/index.ts";
import type { ContainerRecord, Records } from "./records.ts";
import type { SandboxOutput } from "./types.ts";

const POLL_MS = 100;
/** More than this between two looks is no log but an attempt to fill the host, bytes. */
const FLOOD_BYTES = 16 * 1024 * 1024;
/** Taken at a time; of what is more, the older part is lost. */
const MAX_BYTES = 64 * 1024;
const MAX_LINE_LENGTH = 2_000;

export class OutputWatch {
	readonly #records: Records;
	readonly #engines: Engines;
	readonly #listeners = new Set<(output: SandboxOutput) => void>();
	readonly #timer: NodeJS.Timeout;

	readonly #onFlood: (record: ContainerRecord) => void;

	/** @param onFlood called for a ready container that prints more than the host can hold */
	constructor(records: Records, engines: Engines, onFlood: (record: ContainerRecord) => void) {
		this.#onFlood = onFlood;
		this.#records = records;
		this.#engines = engines;
		this.#timer = setInterval(() => void this.#takeAll(), POLL_MS);
	}

	onOutput(listener: (output: SandboxOutput) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/** Says something about a sandbox to those who listen to its output. */
	report({ sandboxId, incarnation }: ContainerRecord, source: "limits", line: string): void {
		for (const listener of this.#listeners) listener({ sandboxId, incarnation, source, lines: [line.slice(0, MAX_LINE_LENGTH)] });
	}

	/** Takes what one container has printed so far: the last chance before it is removed. Never rejects. */
	async take(record: ContainerRecord): Promise<void> {
		const { sandboxId, incarnation } = record;
		try {
			const engine = await this.#engines.open(record.engine);
			// While it is being started, what little there is may be the engine's reason for a failure.
			const minBytes = record.phase === "ready" ? 1 : MAX_BYTES;
			const { text, bytes } = engine.takeOutput(record.containerId, MAX_BYTES, minBytes);
			if (bytes > FLOOD_BYTES && record.phase === "ready") this.#onFlood(record);
			const lines = linesOf(text);
			if (lines.length === 0) return;
			for (const listener of this.#listeners) listener({ sandboxId, incarnation, lines });
		} catch {
			// The container is being removed, its output with it.
		}
	}

	close(): void {
		clearInterval(this.#timer);
	}

	async #takeAll(): Promise<void> {
		for (const record of this.#records.all()) await this.take(record);
	}
}

function linesOf(text: string): readonly string[] {
	const lines = text.split("\n").map((line) => line.trimEnd().slice(0, MAX_LINE_LENGTH));
	return lines.filter((line) => line !== "");
}
