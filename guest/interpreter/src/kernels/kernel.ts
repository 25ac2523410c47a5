/** What the contexts need of a kernel, whatever language it speaks and however it is reached. */

import type { Emit } from "../events.ts";

/** Environment variables to set (string) or to remove (null). */
export type EnvironmentChanges = Readonly<Record<string, string | null>>;

export interface Kernel {
	/**
	 * Runs one cell and reports what it does; at most one error. Resolves when the kernel can take the next cell.
	 * Aborting `signal` interrupts the cell and keeps the kernel's state. One call at a time.
	 * Rejects with KernelGone if the kernel ended before the cell did.
	 */
	execute(code: string, emit: Emit, signal: AbortSignal): Promise<void>;
	/** Changes the environment of the running kernel; invisible to the user's code and to the execution count. */
	setEnvironment(changes: EnvironmentChanges): Promise<void>;
	/** Seeds the kernel's random generators from 32 bytes, also while a cell is running. */
	reseed(seed: Buffer): Promise<void>;
	/** Resolves when the kernel's process has ended, for whatever reason. */
	readonly gone: Promise<void>;
	/** Ends the kernel's process and everything it holds; resolves when it is gone. */
	stop(): Promise<void>;
}

export interface LaunchOptions {
	/** An existing directory. */
	readonly cwd: string;
	readonly environment: Readonly<Record<string, string>>;
	readonly signal: AbortSignal;
}

/** Starts a kernel and resolves when it accepts code. Rejects with KernelUnavailable if it cannot. */
export type LaunchKernel = (options: LaunchOptions) => Promise<Kernel>;

/** The kernel ended while something was asked of it. */
export class KernelGone extends Error {
	override readonly name = "KernelGone";

	constructor() {
		super("the kernel ended");
	}
}

/** A kernel could not be started; the message is for the user. */
export class KernelUnavailable extends Error {
	override readonly name = "KernelUnavailable";
}

/**
 * Calls `interrupt` when `signal` is aborted, and twice more if the returned function was not called by then: a kernel
 * that was just about to start the cell, or is in a library that swallows the first interrupt, needs the second one.
 */
export function interruptOnAbort(signal: AbortSignal, interrupt: () => void): () => void {
	const retries: NodeJS.Timeout[] = [];
	const onAbort = () => {
		interrupt();
		for (const delayMs of [1_000, 5_000]) retries.push(setTimeout(interrupt, delayMs));
	};
	if (signal.aborted) onAbort();
	else signal.addEventListener("abort", onAbort, { once: true });
	return () => {
		signal.removeEventListener("abort", onAbort);
		for (const retry of retries) clearTimeout(retry);
	};
}
