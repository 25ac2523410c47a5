/** TypeScript to JavaScript, without checking types. Every statement keeps its line. */

/**
 * Sucrase rather than the stripper that Node has: that one takes six times the memory, cannot make code of enums and the
 * like, and is broken for good by a cell that is nested some thousand deep.
 * @throws SyntaxError, or RangeError for what is nested too deep
 */
export async function withoutTypes(code: string): Promise<string> {
	const { transform } = await import("./syntax.ts");
	return transform(code, { transforms: ["typescript"], keepUnusedImports: true, disableESTransforms: true }).code;
}
