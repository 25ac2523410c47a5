/**
 * Evaluates cells in the global scope through the engine's own REPL mode (the one of its debugging protocol): top-level
 * await, the value of the last expression, and declarations that a later cell may repeat.
 */

import type { Runtime } from "node:inspector";
import { Session } from "node:inspector/promises";
import { dirname } from "node:path";
import { inspect } from "node:util";
import type { ErrorEvent, ResultEvent } from "../events.ts";
import { resultEvent } from "../results.ts";
import { type CellDisplay, formsOf } from "./display.ts";
import { type Language, scriptOf } from "./script.ts";

const HOLD = Symbol.for("offshoot.hold");
const OBJECTS = "cell";

/** How frames of this program show in a stack. */
const PROGRAM = dirname(process.argv[1] ?? "");

export const INTERRUPTED: ErrorEvent = { type: "error", name: "Interrupted", value: "Execution was interrupted", traceback: "" };

export type Outcome = ResultEvent | ErrorEvent | undefined;

/** The types of Node do not know `replMode`. */
type EvaluateParameters = Runtime.EvaluateParameterType & { readonly replMode: true };

export interface Evaluator {
	/** Evaluates a cell; undefined if it has no value, or showed one itself. Never rejects for what the cell does. */
	evaluate(code: string, count: number, display: CellDisplay): Promise<Outcome>;
}

export function createEvaluator(language: Language): Evaluator {
	const session = new Session();
	session.connect();
	let held: unknown;
	Object.defineProperty(globalThis, HOLD, { value: (value: unknown) => (held = value), configurable: true });
	const hold = session.post("Runtime.evaluate", { expression: `globalThis[Symbol.for("${HOLD.description}")]` });
	Reflect.deleteProperty(globalThis, HOLD);

	/** The value behind a reference of the protocol. */
	const heldValue = async (objectId: string): Promise<unknown> => {
		await session.post("Runtime.callFunctionOn", {
			objectId: (await hold).result.objectId ?? "",
			functionDeclaration: "function (value) { this(value); }",
			arguments: [{ objectId }],
		});
		const value = held;
		held = undefined;
		return value;
	};

	const run = async (code: string, count: number): Promise<Outcome> => {
		const expression = `${code}\n//# sourceURL=cell-${count}`;
		const parameters: EvaluateParameters = { expression, replMode: true, awaitPromise: true, objectGroup: OBJECTS };
		const { result, exceptionDetails } = await session.post("Runtime.evaluate", parameters);
		const value = result.objectId === undefined ? primitive(result) : await heldValue(result.objectId);
		if (exceptionDetails === undefined) return result.type === "undefined" ? undefined : describe(value);
		return describeError(value, { count, line: exceptionDetails.lineNumber + 1, column: exceptionDetails.columnNumber + 1 });
	};

	return {
		async evaluate(code, count, display) {
			try {
				const outcome = await run(await scriptOf(code, language), count);
				if (outcome?.type !== "error") await display.finished();
				return display.answered && outcome?.type === "result" ? undefined : outcome;
			} catch (error) {
				// The protocol's own failures mean that the engine was told to stop the cell.
				if (error instanceof Error && "code" in error && error.code === "ERR_INSPECTOR_COMMAND") return INTERRUPTED;
				return describeError(error, undefined);
			} finally {
				await session.post("Runtime.releaseObjectGroup", { objectGroup: OBJECTS });
			}
		},
	};
}

function primitive({ type, value, unserializableValue }: Runtime.RemoteObject): unknown {
	if (unserializableValue === undefined) return value;
	return type === "bigint" ? BigInt(unserializableValue.slice(0, -1)) : Number(unserializableValue);
}

function describe(value: unknown): ResultEvent {
	return resultEvent(formsOf(value), "execute_result");
}

interface Place {
	readonly count: number;
	readonly line: number;
	readonly column: number;
}

function describeError(error: unknown, place: Place | undefined): ErrorEvent {
	if (!(error instanceof Error))
		return { type: "error", name: "Error", value: inspect(error), traceback: `Uncaught ${inspect(error)}` };
	const stack = userFrames(error.stack ?? String(error));
	const hasPlace = stack.includes("\n") || place === undefined;
	const traceback = hasPlace ? stack : `${stack}\n    at cell-${place.count}:${place.line}:${place.column}`;
	return { type: "error", name: error.name, value: error.message, traceback };
}

/** The stack without the frames of this program. */
function userFrames(stack: string): string {
	const lines = stack.split("\n");
	const end = lines.findIndex((line) => /^\s+at /.test(line) && (line.includes("node:inspector") || line.includes(PROGRAM)));
	return (end < 0 ? lines : lines.slice(0, end)).join("\n");
}
