/** What the imports of a cell find: the same as in a file in the current working directory, and global packages. */

import { createRequire, registerHooks } from "node:module";
import { dirname, join } from "node:path";
// Not the global name: a cell may declare its own, which is without a value while `import process from "process"` waits.
import process from "node:process";
import { pathToFileURL } from "node:url";
import { IMPORT, META } from "./rewrite.ts";

/** Marks the specifiers of cells among those of this program. */
const CELL = "offshoot-cell:";

type Namespace = Record<string, unknown>;

/** Makes `require`, the function behind `import`, and packages installed globally available to cells. */
export function installImports(): void {
	registerHooks({
		resolve: (specifier, context, next) =>
			specifier.startsWith(CELL) ? resolveForCell(specifier.slice(CELL.length), context, next) : next(specifier, context),
	});
	hide(IMPORT, importForCell);
	Object.defineProperty(globalThis, META, { get: cellMeta, configurable: true });
	hide("require", new Proxy(requireForCell, { get: (_target, name) => Reflect.get(cellRequire(), name) }));
	const module = { exports: {} };
	hide("module", module);
	hide("exports", module.exports);
}

async function importForCell(specifier: unknown, options?: ImportCallOptions, names: readonly string[] = []): Promise<Namespace> {
	const namespace: Namespace = await import(`${CELL}${specifier}`, options);
	for (const name of names) {
		if (name in namespace) continue;
		const missing = new SyntaxError(`The requested module '${specifier}' does not provide an export named '${name}'`);
		Error.captureStackTrace(missing, importForCell);
		throw missing;
	}
	return namespace;
}

/** The file that a cell pretends to be; it follows `process.chdir`. */
function cellFile(): string {
	return join(process.cwd(), "[cell]");
}

function cellMeta(): object {
	const filename = cellFile();
	return { url: pathToFileURL(filename).href, filename, dirname: process.cwd() };
}

function cellRequire(): NodeJS.Require {
	return createRequire(cellFile());
}

function requireForCell(id: string): unknown {
	return cellRequire()(id);
}

type Resolve = Parameters<typeof registerHooks>[0]["resolve"];
type ResolveArguments = Parameters<NonNullable<Resolve>>;

/** Looks from the working directory, then in the directories of globally installed packages. */
function resolveForCell(
	specifier: string,
	context: ResolveArguments[1],
	next: ResolveArguments[2],
): ReturnType<ResolveArguments[2]> {
	const parents = [cellFile(), ...globalParents()];
	let failure: unknown;
	for (const parent of parents) {
		try {
			return next(specifier, { ...context, parentURL: pathToFileURL(parent).href });
		} catch (error) {
			failure ??= error;
		}
	}
	throw failure;
}

/** A file next to a directory `node_modules` finds the packages in it. */
function globalParents(): string[] {
	const directories = (process.env.NODE_PATH ?? "").split(":").filter((path) => path.endsWith("/node_modules"));
	return directories.map((path) => join(dirname(path), "[cell]"));
}

function hide(name: string, value: unknown): void {
	Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}
