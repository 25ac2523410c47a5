/**
 * Where the files beside the program are. They are the same in a checkout, where Node runs `src/*.ts` directly, and in a
 * sandbox, where all of `src` is one bundle `main.js` with `javascript.js` and `python/` next to it.
 */

import { dirname, join } from "node:path";

const IN_CHECKOUT = import.meta.filename?.endsWith(".ts");

/** A bundle in the older module format has no `import.meta`; there the program is the only file. */
const HERE = import.meta.dirname ?? dirname(process.argv[1] ?? "");

/** Entry of the JavaScript kernel's process. */
export function nodeKernelEntry(): string {
	return process.env.OFFSHOOT_NODE_KERNEL ?? join(HERE, IN_CHECKOUT ? "node-kernel/main.ts" : "javascript.js");
}

/** Entry of the Python kernel's process. */
export function pythonKernelEntry(): string {
	return process.env.OFFSHOOT_PYTHON_KERNEL ?? join(HERE, IN_CHECKOUT ? "../python/launch.py" : "python/launch.py");
}
