/** The tables say what works and name the tests that show it. This holds them to it: every test that they name is there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const REPOSITORY = join(import.meta.dirname, "..");

interface Reference {
	readonly file: string;
	/** Undefined where the whole file is meant. */
	readonly title: string | undefined;
}

interface Row {
	readonly line: number;
	readonly what: string;
	readonly verdict: string;
	readonly references: readonly Reference[];
}

/** Rows of tables with three columns: what, verdict, tests. */
function rowsOf(markdown: string): Row[] {
	return markdown.split("\n").flatMap((text, index) => {
		const cells = text.startsWith("| ") ? text.slice(1, -1).split(/(?<!\\)\|/) : [];
		const [what = "", verdict = "", tests = ""] = cells.map((cell) => cell.trim());
		if (cells.length !== 3 || what === "" || /^-+$/.test(what)) return [];
		return [{ line: index + 1, what, verdict, references: referencesIn(tests) }];
	});
}

/** `` `file`: title; title; `file` ``: what stands between two files are titles in the first. */
function referencesIn(cell: string): Reference[] {
	return [...cell.matchAll(/`([^`]+\.(?:ts|sh))`(?:: ((?:(?!`[^`]+\.(?:ts|sh)`).)+))?/g)].flatMap(
		([, file = "", titles]): Reference[] => {
			const named = titles?.replace(/[;,]\s*(?:[a-z ]+: *)?$/, "").trim();
			return named ? named.split("; ").map((title) => ({ file, title })) : [{ file, title: undefined }];
		},
	);
}

/** Names of all tests of a file, those of their groups before them, and of the groups. */
function titlesIn(source: string): string[] {
	const groups: { readonly depth: number; readonly name: string }[] = [];
	const found: string[] = [];
	for (const [, indent = "", kind, , title = ""] of source.matchAll(TEST)) {
		while ((groups.at(-1)?.depth ?? -1) >= indent.length) groups.pop();
		const names = [...groups.map(({ name }) => name), unescaped(title)];
		// A test may be named by itself or with any of the groups around it.
		for (const start of names.keys()) found.push(names.slice(start).join(" "));
		if (kind === "describe") groups.push({ depth: indent.length, name: unescaped(title) });
	}
	return found;
}

/** A call of describe, test or it with its title, also behind a table of cases. The formatter sees to the lines. */
const TEST = /^(\t*)(?:(describe|test|it)\b[^\n]*?|\]\))\(\s*(["'`])((?:\\.|(?!\3).)*)\3/gm;

function unescaped(title: string): string {
	return title.replace(/\\(.)/g, "$1");
}

/** `…` stands for any text. */
function matches(title: string, wanted: string): boolean {
	const parts = wanted.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
	return new RegExp(`^${parts.join(".*")}$`).test(title);
}

/** The documents that go through a protocol line by line. */
const TABLES = ["rest.md", "routing.md", "daemon.md", "code-interpreter.md"];

describe.each(TABLES)("%s", (name) => {
	const rows = rowsOf(readFileSync(join(import.meta.dirname, name), "utf8"));

	test("says of every row whether it works", () => {
		const wrong = rows.filter(({ verdict }) => !/^(works|differs|not yet|not possible here)\b/.test(verdict));
		expect(wrong.map(({ line, what }) => `${name}:${line} ${what}`)).toEqual([]);
		expect(rows.length).toBeGreaterThan(20);
	});

	test("names a test for what works", () => {
		const unproven = rows.filter(({ verdict, references }) => verdict.startsWith("works") && references.length === 0);
		expect(unproven.map(({ line, what }) => `${name}:${line} ${what}`)).toEqual([]);
	});

	test("names tests that there are", () => {
		const missing = rows.flatMap(({ line, references }) =>
			references.filter(({ file, title }) => !isThere(file, title)).map(({ file, title }) => `${name}:${line} ${file}: ${title}`),
		);
		expect(missing).toEqual([]);
	});
});

function isThere(file: string, title: string | undefined): boolean {
	const path = join(REPOSITORY, file);
	if (!existsSync(path)) return false;
	return title === undefined || titlesIn(readFileSync(path, "utf8")).some((each) => matches(each, title));
}

test("a test that is not there is noticed", () => {
	expect(isThere("docs/tables.test.ts", "names tests that there are")).toBe(true);
	expect(isThere("docs/tables.test.ts", "%s names tests…")).toBe(true);
	expect(isThere("docs/tables.test.ts", "names tests that there are not")).toBe(false);
	expect(isThere("docs/none.test.ts", undefined)).toBe(false);
});
