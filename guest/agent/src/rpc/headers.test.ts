import { describe, expect, test } from "vitest";
import { PlainHeaders } from "./headers.ts";

const steps: Record<string, (headers: Headers) => void> = {
	"names in any case": (headers) => {
		headers.set("Content-Type", "a/b");
		headers.append("content-TYPE", "c/d");
	},
	"values with white space around": (headers) => headers.append("x", " \t a b \n"),
	"a value replaced": (headers) => {
		headers.append("x", "1");
		headers.append("x", "2");
		headers.set("X", "3");
	},
	"a value removed": (headers) => {
		headers.append("x", "1");
		headers.append("y", "2");
		headers.delete("X");
		headers.delete("never-there");
	},
	cookies: (headers) => {
		headers.append("Set-Cookie", "a=1");
		headers.append("set-cookie", "b=2");
		headers.append("z", "after");
	},
	"cookies replaced": (headers) => {
		headers.append("Set-Cookie", "a=1");
		headers.set("set-cookie", "b=2");
	},
	"an empty value": (headers) => headers.set("x", ""),
};

function seen(headers: Headers) {
	const visited: string[] = [];
	headers.forEach((value, name) => {
		visited.push(`${name}: ${value}`);
	});
	return {
		visited,
		entries: [...headers],
		keys: [...headers.keys()],
		values: [...headers.values()],
		cookies: headers.getSetCookie(),
		gets: ["x", "X", "content-type", "Set-Cookie", "missing"].map((name) => [headers.get(name), headers.has(name)]),
	};
}

describe("header fields for Connect are as those of Node after", () => {
	test.each(Object.entries(steps))("%s", (_name, step) => {
		const [ours, nodes] = [new PlainHeaders(), new Headers()];
		for (const headers of [ours, nodes]) step(headers);
		expect(seen(ours)).toEqual(seen(nodes));
	});

	const sources: Record<string, ConstructorParameters<typeof Headers>[0]> = {
		pairs: [
			["A", "1"],
			["a", "2"],
		],
		"an object": { B: "1", a: "2" },
		"other headers": new Headers({ a: "1", "set-cookie": "c=1" }),
	};

	test.each(Object.entries(sources))("being made of %s", (_name, source) => {
		expect(seen(new PlainHeaders(source))).toEqual(seen(new Headers(source)));
		expect(seen(new PlainHeaders(new PlainHeaders(source)))).toEqual(seen(new Headers(source)));
	});
});
