/** TypeScript to JavaScript, without checking types. */

import { stripTypeScriptTypes } from "node:module";

/**
 * Blanks the types out, so that every place keeps its line and column. Syntax that has to become code (enums, parameter
 * properties) needs a compiler, which is loaded only then.
 */
export async function withoutTypes(code: string): Promise<string> {
	try {
		return stripTypeScriptTypes(code);
	} catch (error) {
		if (!(error instanceof Error && "code" in error && error.code === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX")) throw error;
		const { transform } = await import("./syntax.ts");
		return transform(code, { transforms: ["typescript"], keepUnusedImports: true, disableESTransforms: true }).code;
	}
}
