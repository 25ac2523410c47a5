/** Entry of the interpreter's process. Its supervisor starts it again when it ends. */

import { startInterpreter } from "./interpreter.ts";
import { readSettings } from "./settings.ts";

const interpreter = await startInterpreter(readSettings(process.env));

for (const signal of ["SIGTERM", "SIGINT"] as const) {
	process.once(signal, () => {
		void interpreter.close().finally(() => process.exit(0));
	});
}

// Without its default contexts the interpreter is of no use: end, and be started again.
await interpreter.ready;
