/** The Python kernel. */

import type { EnvironmentChanges } from "../kernel.ts";
import type { JupyterLanguage } from "./kernel.ts";

/** ipykernel run by `python`, started through the file `entry`. */
export function pythonLanguage(python: string, entry: string): JupyterLanguage {
	return {
		command: (connectionFile) => [python, entry, connectionFile],
		// One arena: an idle kernel with several threads would otherwise keep several heaps in every snapshot.
		environment: { MALLOC_ARENA_MAX: "1" },
		environmentCode,
		seeding: "request",
		endsItself: true,
	};
}

function environmentCode(changes: EnvironmentChanges): string {
	// A JSON text is also a Python string literal when it is encoded twice.
	const literal = JSON.stringify(JSON.stringify(changes));
	const environ = '__import__("os").environ';
	return `[${environ}.pop(k, None) if v is None else ${environ}.__setitem__(k, v) for k, v in __import__("json").loads(${literal}).items()]`;
}
