import { messageOf } from "./errors.ts";

/** One line on standard error, which the sandbox's supervisor owns. */
export function log(what: string, error?: unknown): void {
	process.stderr.write(`agent: ${what}${error === undefined ? "" : `: ${messageOf(error)}`}\n`);
}
