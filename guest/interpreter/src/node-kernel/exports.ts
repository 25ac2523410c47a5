/**
 * What a file may have and a script, as which a cell is evaluated, cannot. Nobody imports a cell, so what it exports is
 * just declared; of what neither the engine nor the remover of types knows, the cell's error tells.
 */

const REMARKABLE = /\bexport\b|\bnamespace\b|\bmodule\b|@/;

/** The keywords of statements that leave something to run. */
const RUNS = ["const", "let", "var", "function", "class", "enum"];

/** Valid TypeScript that kernels do not run. */
export class Unsupported extends SyntaxError {}

interface Token {
	readonly start: number;
	readonly end: number;
	/** What it is: a keyword or a sign itself, else its kind, such as `name`. */
	readonly label: string;
	readonly text: string;
	/** Whether it goes with the types. */
	readonly isType: boolean;
}

/** @throws Unsupported; or SyntaxError, or RangeError for what is nested too deep */
export async function withoutExports(code: string): Promise<string> {
	if (!REMARKABLE.test(code)) return code;
	const tokens = await tokensOf(code);
	refuseUnsupported(tokens);
	let rewritten = "";
	let position = 0;
	tokens.forEach((token, index) => {
		if (token.label !== "export" || token.isType) return;
		const [last, text] = declaration(tokens.slice(index)) ?? [];
		if (last === undefined || text === undefined) return;
		const lines = code.slice(token.start, last.end).replace(/[^\n]/g, "");
		rewritten += code.slice(position, token.start) + text + lines;
		position = last.end;
	});
	return rewritten + code.slice(position);
}

/** The last token of what an export begins with, and what takes its place; undefined if that is left to who removes types. */
function declaration(tokens: readonly Token[]): [last: Token, text: string] | undefined {
	const [first, second, third] = tokens;
	if (first === undefined || second === undefined || third === undefined) return undefined;
	const next = third.text;
	switch (second.text) {
		case "=":
		case "as":
			return undefined;
		case "type":
			return next === "{" || next === "*" ? undefined : [first, ""];
		case "{":
			return list(first, tokens);
		case "*":
			return [next === "from" ? third : first, "import"];
		case "default":
			return [second, isNamed(tokens.slice(2)) ? "" : "0,"];
		default:
			return [first, ""];
	}
}

/** `{ a, b }` names what is declared elsewhere: in the cell, or in the module that follows. */
function list(first: Token, tokens: readonly Token[]): [last: Token, text: string] | undefined {
	const end = tokens.findIndex(({ label }) => label === "}");
	const last = tokens[end];
	return tokens[end + 1]?.text === "from" ? [first, "import"] : last && [last, ""];
}

/** Whether these begin the declaration of a function or class that has a name. */
function isNamed(tokens: readonly Token[]): boolean {
	const [keyword, name] = tokens.filter(({ text }) => text !== "async" && text !== "abstract" && text !== "*");
	return (keyword?.label === "function" || keyword?.label === "class") && name?.label === "name" && name.text !== "implements";
}

function refuseUnsupported(tokens: readonly Token[]): void {
	if (tokens.some(({ label, isType }) => label === "@" && !isType)) {
		throw new Unsupported("Decorators are not supported in cells; call the decorator's function instead");
	}
	for (let index = 0; index < tokens.length; index++) {
		const body = namespaceBody(tokens, index);
		if (body === undefined) continue;
		const declared = tokens[index - 1]?.text === "declare";
		const runs = body.some(({ label }, at) => RUNS.includes(label) && body[at - 1]?.text !== "declare");
		if (runs && !declared) {
			throw new Unsupported("Namespaces with more than types in them are not supported in cells; make it an object or a module");
		}
		index += body.length;
	}
}

/** The tokens of the namespace whose keyword is at `index`, up to its end. */
function namespaceBody(tokens: readonly Token[], index: number): readonly Token[] | undefined {
	const keyword = tokens[index];
	if (!keyword?.isType || (keyword.text !== "namespace" && keyword.text !== "module")) return undefined;
	const start = tokens.findIndex(({ text, label }, at) => at > index && text !== "." && label !== "name" && label !== "string");
	if (start <= index + 1 || tokens[start]?.text !== "{") return undefined;
	let depth = 0;
	for (let end = start; end < tokens.length; end++) {
		if (tokens[end]?.label === "{") depth += 1;
		if (tokens[end]?.label === "}") depth -= 1;
		if (depth === 0) return tokens.slice(index, end);
	}
	return undefined;
}

/** A line of the library's list: `1:1-1:7  label  …`. */
const LINE = /^(\d+):(\d+)-(\d+):(\d+) +(\S+)(.*)$/;

async function tokensOf(code: string): Promise<Token[]> {
	const { getFormattedTokens } = await import("./syntax.ts");
	const lineStarts = [0, ...Array.from(code.matchAll(/\r\n|\r|\n/g), (found) => found.index + found[0].length)];
	const offset = (line = "", column = "") => (lineStarts[Number(line) - 1] ?? 0) + Number(column) - 1;
	const lines = getFormattedTokens(code, { transforms: ["typescript"] }).split("\n");
	return lines.flatMap((line): Token[] => {
		const [, startLine, startColumn, endLine, endColumn, label = "", rest = ""] = LINE.exec(line) ?? [];
		if (startLine === undefined) return [];
		const [start, end] = [offset(startLine, startColumn), offset(endLine, endColumn)];
		return [{ start, end, label, text: code.slice(start, end), isType: / isType( |$)/.test(rest) }];
	});
}
