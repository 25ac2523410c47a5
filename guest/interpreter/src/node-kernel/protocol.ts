/** What the interpreter and the process of a JavaScript kernel say to each other: JSON lines on two pipes. A Java kernel reports so as well. */

import type { ExecutionEvent } from "../events.ts";

/** Descriptor on which the kernel reads commands. */
export const COMMAND_FD = 3;
/** Descriptor on which the kernel writes reports; synchronously, so that a slow reader holds the user's code back. */
export const REPORT_FD = 4;

/**
 * Key (of a global symbol) of the function (request, seed in hex) that reseeds the kernel. The interpreter calls it through
 * the debugging port when the kernel is too busy to take a command.
 */
export const RESEED_GLOBAL = "offshoot.reseed";

export type Command =
	| { readonly type: "execute"; readonly execution: number; readonly code: string }
	/** Gives up waiting for the promise that execution `execution` waits for. */
	| { readonly type: "interrupt"; readonly execution: number }
	| { readonly type: "environment"; readonly request: number; readonly changes: Readonly<Record<string, string | null>> }
	| { readonly type: "reseed"; readonly request: number; readonly seed: string };

export type Report =
	| { readonly type: "ready" }
	| { readonly type: "event"; readonly event: ExecutionEvent }
	/** The last report of an execution. */
	| { readonly type: "done"; readonly execution: number }
	| { readonly type: "answer"; readonly request: number };

/** Reads JSON lines from chunks of text. What is written there comes from the other half of this program. */
export class LineReader<T> {
	/** Of a line whose end has not come: a long one is put together once, not anew with every chunk. */
	#pieces: string[] = [];

	/** The complete lines up to the end of `chunk`. */
	push(chunk: string): T[] {
		const end = chunk.lastIndexOf("\n");
		if (end === -1) {
			this.#pieces.push(chunk);
			return [];
		}
		const complete = this.#pieces.join("") + chunk.slice(0, end);
		this.#pieces = [chunk.slice(end + 1)];
		return complete.split("\n").map((line): T => JSON.parse(line));
	}
}
