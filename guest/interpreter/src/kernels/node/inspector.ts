/**
 * Reaches into a Node process whose JavaScript does not return to its event loop, through the debugging port that SIGUSR1
 * opens: https://chromedevtools.github.io/devtools-protocol/v8/Runtime/
 */

import { abortable } from "../../abortable.ts";

/** What Node writes to standard error about its debugging port. */
const NOTICES =
	/^(?:Debugger listening on (ws:\S+)|For help, see: https:\/\/nodejs\.org.*|Debugger attached\.|Debugger ending on .*)\n/gm;

/** A process that does not answer for this long is stuck in native code, or gone. */
const TIMEOUT_MS = 10_000;

/** Separates the notices about the debugging port from the rest of standard error. */
export function takeNotices(text: string): { readonly rest: string; readonly address: string | undefined } {
	let address: string | undefined;
	const rest = text.replace(NOTICES, (_line, found: string | undefined) => {
		address = found ?? address;
		return "";
	});
	return { rest, address };
}

export interface InspectorCall {
	readonly method: "Runtime.evaluate" | "Runtime.terminateExecution";
	readonly params?: Readonly<Record<string, unknown>>;
}

/** Makes one call at the debugging port `address`, even if the process is busy. Rejects if it does not answer. */
export async function callInspector(address: string, call: InspectorCall): Promise<void> {
	const limit = AbortSignal.timeout(TIMEOUT_MS);
	const socket = new WebSocket(address);
	try {
		await abortable(nextEvent(socket, "open"), limit);
		const answered = nextEvent(socket, "message");
		socket.send(JSON.stringify({ id: 1, ...call }));
		await abortable(answered, limit);
	} finally {
		socket.close();
	}
}

function nextEvent(socket: WebSocket, name: "open" | "message"): Promise<void> {
	return new Promise((resolve, reject) => {
		socket.addEventListener(name, () => resolve(), { once: true });
		socket.addEventListener("error", () => reject(new Error("the debugging port closed the connection")), { once: true });
	});
}
