import { connect } from "node:net";
import { type Static, Type } from "typebox";
import { Value } from "typebox/value";
import { AnswerTooLongError } from "../types.ts";
import { JsonSieve, type Wanted } from "./json-sieve.ts";

/**
 * One call to a sandbox over its control socket. How long the answer is lies with the guest. So it is read piece by piece,
 * between which others have their turn and the deadline can pass; no more is held of it than is used, and longer than any
 * honest guest's it is not read.
 * Source: gVisor release 20260905, pkg/urpc: one JSON object each way, no terminator.
 */
export interface Call {
	readonly method: string;
	readonly arg: object | string | null;
	/** What of the result is read; all else is null in it. */
	readonly wanted: Wanted;
}

const MB = 1024 * 1024;
/**
 * A guest allows its programs 1,024 processes: 6 MB for as many `sleep`, 9 MB for Pythons (9 KB each); a Node with its 130
 * mappings takes 25 KB. To read so much takes the server 0.2 s in all, some ms at a time.
 */
const MAX_ANSWER_BYTES = 32 * MB;
/** Parsed at once, in some tens of ms. Of 1,024 processes with as long names as are kept it is half of that. */
const MAX_KEPT_BYTES = 4 * MB;

const ENVELOPE = ["success", "err", "result"];
const Answer = Type.Object({ success: Type.Boolean(), err: Type.String(), result: Type.Unknown() });

/**
 * @returns the result
 * @throws AnswerTooLongError; Error when the call failed, was not answered in time, or the answer has another form
 */
export function call(path: string, { method, arg, wanted }: Call, signal: AbortSignal): Promise<unknown> {
	const { promise, resolve, reject } = Promise.withResolvers<unknown>();
	const socket = connect({ path });
	const onAbort = () => socket.destroy(new Error(`the sandbox did not answer ${method}`));
	signal.addEventListener("abort", onAbort, { once: true });
	socket.on("error", reject);
	socket.on("close", () => {
		signal.removeEventListener("abort", onAbort);
		reject(new Error(`the sandbox ended without an answer to ${method}`));
	});
	const reader = new AnswerReader(method, wanted);
	const onData = (piece: Buffer) => {
		try {
			const answer = reader.read(piece);
			if (answer === undefined) return;
			if (answer.success) resolve(answer.result);
			else reject(new Error(`${method}: ${answer.err}`));
		} catch (error) {
			reject(error);
		}
		socket.off("data", onData);
		// What is still to come of an answer is taken and thrown away: cut off, the engine would hold the rest of it several
		// times over, as the text of a message for its log.
		socket.resume();
		socket.end();
	};
	socket.on("data", onData);
	socket.write(JSON.stringify({ method, arg }));
	return promise;
}

class AnswerReader {
	readonly #method: string;
	readonly #sieve: JsonSieve;
	#bytes = 0;

	constructor(method: string, { members, firstOf }: Wanted) {
		this.#method = method;
		this.#sieve = new JsonSieve({ members: members.union(new Set(ENVELOPE)), ...(firstOf && { firstOf }) });
	}

	/** @returns undefined until the answer is whole @throws AnswerTooLongError */
	read(piece: Buffer): Static<typeof Answer> | undefined {
		this.#bytes += piece.length;
		if (this.#bytes > MAX_ANSWER_BYTES) throw new AnswerTooLongError(this.#method, MAX_ANSWER_BYTES);
		const isWhole = this.#sieve.write(piece);
		if (this.#sieve.keptBytes > MAX_KEPT_BYTES) throw new AnswerTooLongError(this.#method, MAX_KEPT_BYTES);
		return isWhole ? Value.Parse(Answer, this.#sieve.parse()) : undefined;
	}
}
