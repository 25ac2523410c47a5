/**
 * What a cell becomes before it is evaluated: JavaScript without imports. One kernel takes both languages, as E2B's does:
 * types are taken out of every TypeScript cell, and of a JavaScript cell that makes sense only with them.
 */

import { Script } from "node:vm";
import { Unsupported, withoutExports } from "./exports.ts";
import { hasImports, importedNames, rewriteImports } from "./rewrite.ts";
import { withoutTypes, withoutTypesAndTheirImports } from "./types.ts";

export type Language = "javascript" | "typescript";

/** @throws what is wrong with a TypeScript cell, or not supported; of a JavaScript cell the engine judges */
export async function scriptOf(code: string, language: Language): Promise<string> {
	if (language === "typescript") return await fromTypeScript(code);
	const script = asExpression(await rewriteImports(code));
	if (compiles(script)) return script;
	const typed = await fromTypeScript(code).catch((error: unknown) => {
		if (error instanceof Unsupported) throw error;
		return script;
	});
	return compiles(typed) ? typed : script;
}

async function fromTypeScript(code: string): Promise<string> {
	const script = await withoutExports(code);
	const plain = await withoutTypes(script);
	if (!hasImports(plain)) return asExpression(plain);
	// What is imported for a type, here or in a later cell, need not be there when the cell runs.
	const needed = await importedNames(await withoutTypesAndTheirImports(script));
	return asExpression(await rewriteImports(plain, needed));
}

/** Also with `await` outside of functions. */
function compiles(code: string): boolean {
	try {
		new Script(`async () => {${code}\n}`);
		return true;
	} catch {
		return false;
	}
}

/** A cell that is an object literal means the object, not a block. */
function asExpression(code: string): string {
	const trimmed = code.trim();
	if (!trimmed.startsWith("{") || !trimmed.endsWith("}")) return code;
	try {
		new Script(`(${trimmed})`);
		return `(${trimmed})`;
	} catch {
		return code;
	}
}
