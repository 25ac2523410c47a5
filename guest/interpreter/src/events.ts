/** What an execution reports, one JSON object per line of the answer to `POST /execute`. */

export type ExecutionEvent =
	/** The kernel accepted the code; counts the executions of one kernel from 1. */
	| { readonly type: "number_of_executions"; readonly execution_count: number }
	/** `timestamp` is an ISO date-time. */
	| { readonly type: "stdout" | "stderr"; readonly text: string; readonly timestamp: string }
	| ResultEvent
	| ErrorEvent;

export interface ErrorEvent {
	readonly type: "error";
	readonly name: string;
	readonly value: string;
	readonly traceback: string;
}

/** A value that the code displayed; the main result is the value of its last expression. */
export interface ResultEvent {
	readonly type: "result";
	readonly is_main_result: boolean;
	readonly [format: string]: unknown;
}

export type StreamEvent = ExecutionEvent | { readonly type: "keepalive" } | { readonly type: "end_of_execution" };

/** Takes an event; a returned promise asks the kernel to hold its output back until it settles. */
export type Emit = (event: ExecutionEvent) => Promise<void> | undefined;

/**
 * One line of the answer. Only ASCII: a client that decodes chunk by chunk would break a character that falls on the
 * border of two chunks.
 */
export function encodeEvent(event: StreamEvent): string {
	const json = JSON.stringify(event);
	return `${json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`;
}
