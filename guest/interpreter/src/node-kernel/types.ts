/** TypeScript to JavaScript, without checking types. Every statement keeps its line. */

/**
 * Sucrase rather than the stripper that Node has: that one takes six times the memory, cannot make code of enums and the
 * like, and is broken for good by a cell that is nested some thousand deep.
 * @throws SyntaxError, or RangeError for what is nested too deep
 */
export async function withoutTypes(code: string): Promise<string> {
	return await transformed(code, { keepUnusedImports: true });
}

/** The same without the imports of names that the code uses for nothing but types, or not at all. */
export async function withoutTypesAndTheirImports(code: string): Promise<string> {
	return await transformed(code, { keepUnusedImports: false });
}

async function transformed(code: string, options: { readonly keepUnusedImports: boolean }): Promise<string> {
	const { transform } = await import("./syntax.ts");
	return transform(code, { transforms: ["typescript"], disableESTransforms: true, ...options }).code;
}
