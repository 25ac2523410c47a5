/**
 * How large a message may be. Connect's handler has such a limit too, but its code for it is the one that clients show
 * to their users as too many requests.
 */
import type { IncomingMessage } from "node:http";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";

/** bytes of one message: input to a process, the largest, is sent in one piece */
export const MAX_MESSAGE = 64 * 1024 * 1024;

/** Before anything is read. @throws ConnectError invalid_argument */
export function requireSize({ method, requestHeader }: HandlerContext): void {
	// A client's stream is of any number of messages; each has its length before it.
	if (method.methodKind === "client_streaming") return;
	if (Number(requestHeader.get("content-length") ?? 0) > MAX_MESSAGE) throw tooLarge();
}

/** The body of a request that is one message of unknown length. Fails at its end if that was too large. */
export async function* bounded(request: IncomingMessage): AsyncGenerator<Uint8Array> {
	let length = 0;
	for await (const part of request) {
		const chunk: Buffer = part;
		length += chunk.length;
		// What is too much is taken all the same, and dropped: a client that is still sending reads no answer.
		if (length <= MAX_MESSAGE) yield chunk;
	}
	if (length > MAX_MESSAGE) throw tooLarge();
}

function tooLarge(): ConnectError {
	const limit = `a message may have at most ${MAX_MESSAGE} bytes (64 MiB), which is 48 MiB of input in base64`;
	return new ConnectError(
		`${limit}. FIX: send input in pieces, or write it to a file for the program to read`,
		Code.InvalidArgument,
	);
}
