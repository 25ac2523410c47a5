/** The libraries that understand source text: 2 MB of memory, so they are loaded by the first cell that needs them. */

export { init, parse } from "es-module-lexer";
export { getFormattedTokens, transform } from "sucrase";
