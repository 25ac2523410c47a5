/** How the services of a sandbox run on Node, for tests that start one on this machine. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const INIT = join(import.meta.dirname, "../../guest/agent/packaging/init.sh");

/** Node's options for a small heap, read from what gives them in a sandbox: memory is measured with these. */
export const SMALL_HEAP: readonly string[] = heapOptions(readFileSync(INIT, "utf8"));

function heapOptions(script: string): string[] {
	const options = /^heap="(--.+)"$/m.exec(script)?.[1];
	if (options === undefined) throw new Error(`${INIT} sets no heap`);
	return options.split(" ");
}
