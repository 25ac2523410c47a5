/** Which environment variables a kernel has to change, so that it sees the sandbox's environment and those of one run. */

import type { EnvironmentChanges } from "../kernels/kernel.ts";

export type Variables = Readonly<Record<string, string>>;

/** Tracks what one kernel was given. Variables that user code sets itself are left alone. */
export class KernelEnvironment {
	/** What the kernel's process was started with: variables fall back to it. */
	readonly #base: Variables;
	#global: Variables = {};

	constructor(base: Variables) {
		this.#base = base;
	}

	/** Changes that bring in the sandbox's environment and, over it, the variables of one run. */
	enter(global: Variables, run: Variables): EnvironmentChanges {
		const changes: Record<string, string | null> = {};
		for (const name of Object.keys(this.#global)) {
			if (!(name in global)) changes[name] = this.#base[name] ?? null;
		}
		for (const [name, value] of Object.entries(global)) {
			if (this.#global[name] !== value) changes[name] = value;
		}
		this.#global = { ...global };
		return { ...changes, ...run };
	}

	/** Changes that take the variables of a run back. */
	leave(run: Variables): EnvironmentChanges {
		return Object.fromEntries(Object.keys(run).map((name) => [name, this.#global[name] ?? this.#base[name] ?? null]));
	}
}
