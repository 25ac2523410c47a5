/**
 * Where the files beside the program are. They are the same in a checkout, where Node runs `src/*.ts` directly, and in a
 * sandbox, where all of `src` is one bundle `main.js` with `node-kernel.js` and `python/` next to it.
 */

import { fileURLToPath } from "node:url";

const IN_CHECKOUT = import.meta.url.endsWith(".ts");

/** Entry of the JavaScript kernel's process. */
export function nodeKernelEntry(): string {
	return process.env.OFFSHOOT_NODE_KERNEL ?? beside(IN_CHECKOUT ? "./node-kernel/main.ts" : "./node-kernel.js");
}

/** Entry of the Python kernel's process. */
export function pythonKernelEntry(): string {
	return process.env.OFFSHOOT_PYTHON_KERNEL ?? beside(IN_CHECKOUT ? "../python/launch.py" : "./python/launch.py");
}

function beside(path: string): string {
	return fileURLToPath(new URL(path, import.meta.url));
}
