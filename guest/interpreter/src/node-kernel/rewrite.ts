/**
 * Import declarations of a cell. A cell is evaluated as a script, so they become awaited calls of a function that imports
 * on the cell's behalf; dynamic imports and `import.meta` are redirected in the same way.
 */

import type { ImportSpecifier as FoundImport } from "es-module-lexer";

/** Global name of the function behind every import: (specifier, options, names that must be exported) → namespace. */
export const IMPORT = "__offshoot_import__";
/** Global name of what `import.meta` means in a cell. */
export const META = "__offshoot_meta__";

/** Whether there may be something to rewrite. */
export function hasImports(code: string): boolean {
	return /\bimport\b/.test(code);
}

/**
 * Rewrites the imports of a cell; code that is no module syntax is returned as it is, for the engine to judge.
 * @param needed names that must be there under which the cell imports something; all by default
 */
export async function rewriteImports(code: string, needed?: ReadonlySet<string>): Promise<string> {
	let rewritten = "";
	let position = 0;
	for (const found of await importsOf(code)) {
		const [end, text] = replacement(code, found, needed);
		rewritten += code.slice(position, found.ss) + text;
		position = end;
	}
	return rewritten + code.slice(position);
}

/** The names that a cell gives to what its import declarations import. */
export async function importedNames(code: string): Promise<ReadonlySet<string>> {
	const declarations = (await importsOf(code)).filter(({ d }) => d === -1);
	return new Set(declarations.flatMap((found) => parts(clauseOf(code, found)).names.map(({ local }) => local)));
}

async function importsOf(code: string): Promise<readonly FoundImport[]> {
	if (!hasImports(code)) return [];
	const { init, parse } = await import("./syntax.ts");
	await init;
	try {
		return parse(code)[0];
	} catch {
		return [];
	}
}

/** Where the replaced text ends, and what replaces it. */
function replacement(code: string, found: FoundImport, needed?: ReadonlySet<string>): [end: number, text: string] {
	if (found.d === -2) return [found.se, META];
	if (found.d >= 0) return [found.d, IMPORT];
	const { namespaceName, names } = parts(clauseOf(code, found));
	const attributes = found.a >= 0 ? code.slice(found.a, found.se) : "undefined";
	const lines = "\n".repeat(code.slice(found.ss, found.se).split("\n").length - 1);
	const wanted = names.filter(({ local }) => needed?.has(local) ?? true).map(({ imported }) => imported);
	const call = `await ${IMPORT}(${JSON.stringify(found.n)}, ${attributes}, ${JSON.stringify(wanted)})`;
	return [found.se, declarations(call, namespaceName, names) + lines];
}

/** What stands between `import` and `from`. */
function clauseOf(code: string, found: FoundImport): string {
	return code
		.slice(found.ss + "import".length, found.s - 1)
		.replace(/\bfrom\s*$/, "")
		.trim();
}

interface Binding {
	readonly imported: string;
	readonly local: string;
}

/** `default as`, `* as` and `{ names }` of an import clause. */
function parts(clause: string): { readonly namespaceName: string | undefined; readonly names: readonly Binding[] } {
	const [, defaultName, namespaceName, list] = /^([\w$]+)?\s*,?\s*(?:\*\s*as\s+([\w$]+))?\s*(\{[\s\S]*\})?$/.exec(clause) ?? [];
	const names = list === undefined ? [] : bindings(list);
	if (defaultName !== undefined) names.push({ imported: "default", local: defaultName });
	return { namespaceName, names };
}

function declarations(call: string, namespaceName: string | undefined, names: readonly Binding[]): string {
	const pattern = names.map(({ imported, local }) => `${JSON.stringify(imported)}: ${local}`).join(", ");
	if (namespaceName === undefined) return names.length === 0 ? `void ${call}` : `const { ${pattern} } = ${call}`;
	const namespace = `const ${namespaceName} = ${call}`;
	return names.length === 0 ? namespace : `${namespace}, { ${pattern} } = ${namespaceName}`;
}

function bindings(list: string): Binding[] {
	return list
		.slice(1, -1)
		.replace(/\/\/.*|\/\*[\s\S]*?\*\//g, "")
		.split(",")
		.map((item) => item.trim())
		.filter((item) => item !== "")
		.map((item) => {
			const [imported = "", local = imported] = item.split(/\s+as\s+/);
			return { imported: imported.replace(/^["']|["']$/g, ""), local };
		});
}
