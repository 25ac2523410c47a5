import { expect, test } from "vitest";
import { JsonSieve, type Wanted } from "./json-sieve.ts";

const WANTED: Wanted = { members: new Set(["list", "a", "b"]), firstOf: new Map([["args", 2]]) };

function sieved(text: string, cutAt = 0, wanted = WANTED): unknown {
	const bytes = Buffer.from(text);
	const sieve = new JsonSieve(wanted);
	sieve.write(bytes.subarray(0, cutAt));
	expect(sieve.write(bytes.subarray(cutAt))).toBe(true);
	return sieve.parse();
}

test("members that are asked for are kept wherever they lie, the others become null, wherever the text is cut", () => {
	const dropped = { a: 1, list: [{ b: ["]", '"}', "\\"] }], more: null };
	const text = JSON.stringify({
		list: [
			{ a: 'quote " backslash \\ brace } täxt', gone: dropped, args: ["x", { a: [1, 2] }, "y", ["z"], "]"], b: [1, [2], {}] },
			{ gone: [dropped, [], "\\\\"], args: [], a: { b: true, c: "\u0001" } },
			{ args: ["only"], b: "" },
		],
		last: dropped,
	});
	const kept = {
		list: [
			{ a: 'quote " backslash \\ brace } täxt', gone: null, args: ["x", { a: [1, 2] }], b: [1, [2], {}] },
			{ gone: null, args: [], a: { b: true, c: null } },
			{ args: ["only"], b: "" },
		],
		last: null,
	};
	for (let cutAt = 0; cutAt < Buffer.byteLength(text); cutAt++) expect(sieved(text, cutAt)).toEqual(kept);
});

test("a list that is kept in part may be null, and those beside it are whole nevertheless", () => {
	expect(sieved('{"args":null,"list":[{"a":[1,2,3]},2,3],"b":[1,2,3]}')).toEqual({
		args: null,
		list: [{ a: [1, 2, 3] }, 2, 3],
		b: [1, 2, 3],
	});
});

test("a text is whole with its last brace, and not before", () => {
	const text = Buffer.from(' { "a" : [ { } , "}" ] , "gone" : "}}" } ');
	const sieve = new JsonSieve(WANTED);
	const wholeAt = [...text].findIndex((_, at) => sieve.write(text.subarray(at, at + 1)));
	expect(wholeAt).toBe(text.lastIndexOf("}"));
	expect(sieve.parse()).toEqual({ a: [{}, "}"], gone: null });
});

test("a string of any length and a list of any length take no room", () => {
	const sieve = new JsonSieve(WANTED);
	sieve.write(Buffer.from('{"b":"'));
	for (let n = 0; n < 100; n++) sieve.write(Buffer.alloc(10_000, "\\"));
	sieve.write(Buffer.from('","args":['));
	for (let n = 0; n < 100; n++) sieve.write(Buffer.from('"",'.repeat(1_000)));
	sieve.write(Buffer.from('""],"gone":["'));
	for (let n = 0; n < 100; n++) sieve.write(Buffer.alloc(10_000, "x"));
	expect(sieve.write(Buffer.from('"],"a":1}'))).toBe(true);
	expect(sieve.keptBytes).toBeLessThan(100);
	expect(sieve.parse()).toEqual({ b: "", args: ["", ""], gone: null, a: 1 });
});

test("what is no JSON is an error", () => {
	expect(() => sieved("}")).toThrow(SyntaxError);
	expect(() => sieved('{"a":nonsense}')).toThrow(SyntaxError);
});
