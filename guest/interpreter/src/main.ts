/** Entry of the interpreter's process. Its supervisor starts it again when it ends. */

import { startInterpreter } from "./interpreter.ts";
import { readSettings } from "./settings.ts";

async function main(): Promise<void> {
	const interpreter = await startInterpreter(readSettings(process.env));
	for (const signal of ["SIGTERM", "SIGINT"] as const) {
		process.once(signal, () => {
			void interpreter.close().finally(() => process.exit(0));
		});
	}
	await interpreter.ready;
	// Garbage of the start would be in every snapshot.
	globalThis.gc?.({ type: "major", flavor: "last-resort", execution: "sync" });
}

main().catch((error: unknown) => {
	// Without its port and its default contexts the interpreter is of no use.
	console.error(error);
	process.exit(1);
});
