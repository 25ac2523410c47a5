/** All contexts of the sandbox: the default one of each language and those that clients made. */

import type { KernelCatalog } from "../kernels/catalog.ts";
import { KernelUnavailable } from "../kernels/kernel.ts";
import { randomUUID } from "../random.ts";
import { Context } from "./context.ts";
import type { Variables } from "./environment.ts";

export interface ContextDescription {
	readonly id: string;
	readonly language: string;
	readonly cwd: string;
}

export interface RegistryOptions {
	readonly catalog: KernelCatalog;
	readonly defaultCwd: string;
	readonly kernelEnvironment: Variables;
}

export class ContextRegistry {
	readonly #options: RegistryOptions;
	/** In order of creation: clients take the last one listed for the newest. */
	readonly #contexts = new Map<string, Context>();
	/** Default contexts that exist or are being started, by language. */
	readonly #defaults = new Map<string, Promise<Context>>();

	constructor(options: RegistryOptions) {
		this.#options = options;
	}

	/** Starts a context. Rejects with KernelUnavailable if the language, its kernel or the directory is missing. */
	async create(request: { readonly language?: string | undefined; readonly cwd?: string | undefined }): Promise<Context> {
		const language = normalizeLanguage(request.language);
		const { catalog, defaultCwd, kernelEnvironment } = this.#options;
		const launch = catalog.get(language);
		if (!launch) throw new KernelUnavailable(`language "${language}" is not supported; use ${[...catalog.keys()].join(", ")}`);
		const context = new Context({ id: randomUUID(), language, cwd: request.cwd || defaultCwd, launch, kernelEnvironment });
		this.#contexts.set(context.id, context);
		try {
			await context.start();
			return context;
		} catch (error) {
			this.#contexts.delete(context.id);
			throw error;
		}
	}

	/** The default context of a language, started on first use; at most one each. */
	async default(language: string | undefined): Promise<Context> {
		const name = normalizeLanguage(language);
		const known = this.#defaults.get(name);
		if (known) return known;
		const starting = this.create({ language: name });
		this.#defaults.set(name, starting);
		starting.catch(() => this.#defaults.delete(name));
		return starting;
	}

	get(id: string): Context | undefined {
		return this.#contexts.get(id);
	}

	list(): ContextDescription[] {
		return [...this.#contexts.values()].map(({ id, language, cwd }) => ({ id, language, cwd }));
	}

	/** Ends a context; false if there is none of this id. */
	async remove(id: string): Promise<boolean> {
		const context = this.#contexts.get(id);
		if (!context) return false;
		this.#contexts.delete(id);
		for (const [language, starting] of this.#defaults) {
			if ((await starting.catch(() => undefined)) === context) this.#defaults.delete(language);
		}
		await context.close();
		return true;
	}

	/** Reseeds every kernel, each with a seed of its own, before it runs anything more. */
	reseed(entropy: Buffer): void {
		for (const context of this.#contexts.values()) context.reseed(entropy);
	}

	/** Ends all contexts. */
	async close(): Promise<void> {
		const contexts = [...this.#contexts.values()];
		this.#contexts.clear();
		this.#defaults.clear();
		await Promise.all(contexts.map((context) => context.close()));
	}
}

const ALIASES: ReadonlyMap<string, string> = new Map([
	["", "python"],
	["js", "javascript"],
	["ts", "typescript"],
]);

function normalizeLanguage(language = ""): string {
	const name = language.trim().toLowerCase();
	return ALIASES.get(name) ?? name;
}
