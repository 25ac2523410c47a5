/**
 * A context: one kernel with a working directory, and what keeps it usable. Executions take turns; a kernel that dies is
 * replaced; an execution always ends, with an error event if its kernel went away.
 */

import { abortable } from "../abortable.ts";
import type { Emit, ErrorEvent } from "../events.ts";
import { type Kernel, KernelGone, KernelUnavailable, type LaunchKernel } from "../kernels/kernel.ts";
import { KernelEnvironment, type Variables } from "./environment.ts";
import { Turn } from "./turn.ts";

export interface Execution {
	readonly code: string;
	/** The sandbox's environment at this moment. */
	readonly globalEnvironment: Variables;
	/** Variables for this execution only. */
	readonly environment: Variables;
}

export interface ContextOptions {
	readonly id: string;
	readonly language: string;
	readonly cwd: string;
	readonly launch: LaunchKernel;
	readonly kernelEnvironment: Variables;
}

interface Session {
	readonly kernel: Kernel;
	readonly environment: KernelEnvironment;
	used: boolean;
}

const RESTARTED = errorEvent("ContextRestarting", "Context was restarted");
const CLOSED = errorEvent("UnexpectedEndOfExecution", "Connection to the execution was closed before the execution was finished");

export class Context {
	readonly id: string;
	readonly language: string;
	readonly cwd: string;
	readonly #options: ContextOptions;
	readonly #turn = new Turn();
	readonly #closing = new AbortController();
	#session: Promise<Session> | undefined;
	#reseeded: Promise<void> = Promise.resolve();

	constructor(options: ContextOptions) {
		this.#options = options;
		this.id = options.id;
		this.language = options.language;
		this.cwd = options.cwd;
	}

	/** Resolves when a kernel is up. Rejects with KernelUnavailable. */
	async start(): Promise<void> {
		await this.#ready();
	}

	/**
	 * Runs code when its turn has come, and resolves when it is done or was interrupted because `signal` was aborted.
	 * A kernel that ends, or cannot be started again, shows as an error event.
	 */
	async execute(execution: Execution, emit: Emit, signal: AbortSignal): Promise<void> {
		const pass = await this.#turn.take(signal);
		let session: Session | undefined;
		try {
			session = await this.#ready();
			session.used = true;
			await abortable(this.#reseeded, signal).catch(() => undefined);
			if (signal.aborted) return;
			await session.kernel.setEnvironment(session.environment.enter(execution.globalEnvironment, execution.environment));
			await session.kernel.execute(execution.code, emit, signal);
		} catch (error) {
			// Not before the context has let go of this kernel, else the next execution would get it.
			if (error instanceof KernelGone) await session?.kernel.gone;
			await emit(this.#explain(error));
		} finally {
			// The caller need not wait for this, the next execution does.
			void restoreEnvironment(session, execution.environment).finally(pass);
		}
	}

	/** Replaces the kernel by a new one; a running execution ends with an error event. */
	async restart(): Promise<void> {
		const old = this.#session;
		const fresh = this.#launch();
		await old?.then((session) => session.kernel.stop()).catch(() => undefined);
		await fresh;
	}

	/** Gives the kernel's random generators a seed of its own made from `entropy`; no execution begins before it has it. */
	reseed(entropy: Buffer): void {
		this.#reseeded = this.#giveSeed(entropy).catch((error) => console.error(`the ${this.language} kernel took no seed:`, error));
	}

	async #giveSeed(entropy: Buffer): Promise<void> {
		const session = await this.#session?.catch(() => undefined);
		const id = Buffer.from(this.id);
		const seed = entropy.map((byte, index) => byte ^ (id[index] ?? 0));
		// A kernel that is gone is followed by one with a seed of its own.
		await session?.kernel.reseed(Buffer.from(seed)).catch(ignoreGone);
	}

	/** Ends the kernel for good. */
	async close(): Promise<void> {
		this.#closing.abort(new KernelUnavailable("the context was removed"));
		const session = await this.#session?.catch(() => undefined);
		await session?.kernel.stop();
	}

	#ready(): Promise<Session> {
		return this.#session ?? this.#launch();
	}

	#launch(): Promise<Session> {
		const { launch, cwd, kernelEnvironment } = this.#options;
		const { signal } = this.#closing;
		const launching = launch({ cwd, environment: kernelEnvironment, signal }).then((kernel): Session => {
			const session = { kernel, environment: new KernelEnvironment(kernelEnvironment), used: false };
			void kernel.gone.then(() => this.#lost(launching, session));
			return session;
		});
		this.#session = launching;
		launching.catch(() => this.#forget(launching));
		return launching;
	}

	/** A kernel that dies before its first use would die again: then the next execution tries, and reports why. */
	#lost(launching: Promise<Session>, session: Session): void {
		if (!this.#forget(launching) || !session.used || this.#closing.signal.aborted) return;
		this.#launch().catch(() => undefined);
	}

	#forget(launching: Promise<Session>): boolean {
		if (this.#session !== launching) return false;
		this.#session = undefined;
		return true;
	}

	#explain(error: unknown): ErrorEvent {
		if (this.#closing.signal.aborted) return CLOSED;
		if (error instanceof KernelGone) return RESTARTED;
		return errorEvent("UnexpectedEndOfExecution", error instanceof Error ? error.message : String(error));
	}
}

async function restoreEnvironment(session: Session | undefined, environment: Variables): Promise<void> {
	await session?.kernel.setEnvironment(session.environment.leave(environment)).catch(ignoreGone);
}

function ignoreGone(error: unknown): void {
	if (!(error instanceof KernelGone)) throw error;
}

function errorEvent(name: string, value: string): ErrorEvent {
	return { type: "error", name, value, traceback: "" };
}
