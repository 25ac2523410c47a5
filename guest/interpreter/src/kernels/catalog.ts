/** The languages and how their kernels start. */

import { nodeKernelEntry, pythonKernelEntry } from "../assets.ts";
import type { Settings } from "../settings.ts";
import { launchBashKernel } from "./bash/kernel.ts";
import { launchJavaKernel } from "./java/kernel.ts";
import { JupyterKernel } from "./jupyter/kernel.ts";
import { pythonLanguage } from "./jupyter/python.ts";
import { rLanguage } from "./jupyter/r.ts";
import type { LaunchKernel } from "./kernel.ts";
import { launchNodeKernel } from "./node/kernel.ts";

export type KernelCatalog = ReadonlyMap<string, LaunchKernel>;

/** Languages whose default context is started before the server reports health. */
export const EAGER_LANGUAGES = ["python", "javascript"] as const;

export function kernelCatalog(settings: Settings): KernelCatalog {
	const { runtimeDirectory, python, nodeCommand, javaKernel } = settings;
	const pythonKernel = pythonLanguage(python, pythonKernelEntry());
	// A free debugging port, opened only to reach a busy kernel, on a loopback address that no relay leads to: who
	// reaches it can run anything.
	const node = [...nodeCommand, "--inspect-port=127.0.0.2:0", "--expose-gc", nodeKernelEntry()];
	return new Map<string, LaunchKernel>([
		["python", (options) => JupyterKernel.launch(pythonKernel, runtimeDirectory, options)],
		["javascript", (options) => launchNodeKernel([...node, "javascript"], options)],
		["typescript", (options) => launchNodeKernel([...node, "typescript"], options)],
		["bash", launchBashKernel],
		["r", async (options) => JupyterKernel.launch(await rLanguage(), runtimeDirectory, options)],
		["java", (options) => launchJavaKernel(javaKernel, options)],
	]);
}
