/** A JavaScript or TypeScript kernel: a Node process that evaluates cells (src/node-kernel). */

import { abortable } from "../../abortable.ts";
import { type Command, RESEED_GLOBAL } from "../../node-kernel/protocol.ts";
import type { Kernel, LaunchOptions } from "../kernel.ts";
import { launchReportingKernel, ReportingKernel, type Running } from "../reporting.ts";
import { callInspector, type InspectorCall, takeNotices } from "./inspector.ts";

/** A kernel that has not taken a command after this time is busy running user code. */
const BUSY_AFTER_MS = 100;

/** Where `npm install --global` of the sandbox's own Node, and of Debian's, puts packages. */
const GLOBAL_PACKAGES = "/usr/local/lib/node_modules:/usr/lib/node_modules";

const INSPECTOR_OPEN_MS = 5_000;

/** Starts `command`, which runs src/node-kernel; see LaunchKernel. */
export async function launchNodeKernel(command: readonly string[], options: LaunchOptions): Promise<Kernel> {
	const environment = { NODE_PATH: GLOBAL_PACKAGES, ...options.environment };
	const withPackages = { ...options, environment };
	return launchReportingKernel(command, withPackages, (kernelProcess) => new NodeKernel(kernelProcess, "JavaScript"));
}

class NodeKernel extends ReportingKernel {
	/** The address of the debugging port, once it was opened. */
	#inspector: PromiseWithResolvers<string> | undefined;

	protected override lineOf(command: Command): string {
		return JSON.stringify(command);
	}

	override async reseed(seed: Buffer): Promise<void> {
		const request = this.number();
		const hex = seed.toString("hex");
		const answered = this.ask({ type: "reseed", request, seed: hex });
		const busy = setTimeout(() => {
			const expression = `globalThis[Symbol.for("${RESEED_GLOBAL}")](${request}, "${hex}")`;
			const inspected = this.#inspect({ method: "Runtime.evaluate", params: { expression, silent: true } });
			void inspected.then(() => this.answered(request));
		}, BUSY_AFTER_MS);
		await answered.finally(() => clearTimeout(busy));
	}

	/** The command ends the promise that the cell waits for; a cell that computes does not hear it. */
	protected override stopComputing(running: Running): void {
		setTimeout(() => {
			if (this.running === running) void this.#inspect({ method: "Runtime.terminateExecution" });
		}, BUSY_AFTER_MS);
	}

	protected override usersPart(text: string): string {
		const { rest, address } = takeNotices(text);
		if (address !== undefined) this.#inspector?.resolve(address);
		return rest;
	}

	/**
	 * Makes a call through the debugging port. The port stays open afterwards, for the next time: closing it while the
	 * kernel's own debugging session exists crashes Node 26. It listens on loopback and is named by a random address.
	 */
	async #inspect(call: InspectorCall): Promise<void> {
		if (this.#inspector === undefined) {
			this.#inspector = Promise.withResolvers<string>();
			this.process.signal("SIGUSR1");
		}
		try {
			await callInspector(await abortable(this.#inspector.promise, AbortSignal.timeout(INSPECTOR_OPEN_MS)), call);
		} catch {
			// The kernel became free or ended meanwhile; else the caller tries again.
		}
	}
}
