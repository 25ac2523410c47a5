/**
 * Import declarations of a cell. A cell is evaluated as a script, so they become awaited calls of a function that imports
 * on the cell's behalf; dynamic imports and `import.meta` are redirected in the same way.
 */

import type { ImportSpecifier as FoundImport } from "es-module-lexer";

/** Global name of the function behind every import: (specifier, options, names that must be exported) → namespace. */
export const IMPORT = "__offshoot_import__";
/** Global name of what `import.meta` means in a cell. */
export const META = "__offshoot_meta__";

/** Rewrites the imports of a cell; code that is no module syntax is returned as it is, for the engine to judge. */
export async function rewriteImports(code: string): Promise<string> {
	if (!/\bimport\b/.test(code)) return code;
	const { init, parse } = await import("./syntax.ts");
	await init;
	let imports: readonly FoundImport[];
	try {
		[imports] = parse(code);
	} catch {
		return code;
	}
	let rewritten = "";
	let position = 0;
	for (const found of imports) {
		const [end, text] = replacement(code, found);
		rewritten += code.slice(position, found.ss) + text;
		position = end;
	}
	return rewritten + code.slice(position);
}

/** Where the replaced text ends, and what replaces it. */
function replacement(code: string, found: FoundImport): [end: number, text: string] {
	if (found.d === -2) return [found.se, META];
	if (found.d >= 0) return [found.d, IMPORT];
	const clause = code.slice(found.ss + "import".length, found.s - 1).replace(/\bfrom\s*$/, "");
	const attributes = found.a >= 0 ? code.slice(found.a, found.se) : "undefined";
	const lines = "\n".repeat(code.slice(found.ss, found.se).split("\n").length - 1);
	return [found.se, importStatement(clause.trim(), JSON.stringify(found.n), attributes) + lines];
}

/** `default as`, `* as` and `{ names }` of an import clause as declarations. */
function importStatement(clause: string, specifier: string, attributes: string): string {
	const [, defaultName, namespaceName, list] = /^([\w$]+)?\s*,?\s*(?:\*\s*as\s+([\w$]+))?\s*(\{[\s\S]*\})?$/.exec(clause) ?? [];
	const names = list === undefined ? [] : bindings(list);
	if (defaultName !== undefined) names.push({ imported: "default", local: defaultName });
	const wanted = JSON.stringify(names.map(({ imported }) => imported));
	const call = `await ${IMPORT}(${specifier}, ${attributes}, ${wanted})`;
	const pattern = names.map(({ imported, local }) => `${JSON.stringify(imported)}: ${local}`).join(", ");
	if (namespaceName === undefined) return names.length === 0 ? `void ${call}` : `const { ${pattern} } = ${call}`;
	const namespace = `const ${namespaceName} = ${call}`;
	return names.length === 0 ? namespace : `${namespace}, { ${pattern} } = ${namespaceName}`;
}

function bindings(list: string): { imported: string; local: string }[] {
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
