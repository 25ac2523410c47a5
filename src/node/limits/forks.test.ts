import { expect, test } from "vitest";
import { ForkWatch, isFull } from "./forks.ts";

const MAX = 1000;

/** What the watch says to each of these, a second apart. */
function seen(...looks: (readonly [count: number, refused: number])[]): boolean[] {
	const watch = new ForkWatch();
	return looks.map(([count, refused], second) => watch.sees({ count, max: MAX, refused }, second * 1000));
}

test("programs without room whose forks fail again and again are a bomb", () => {
	expect(seen([1000, 0], [998, 200], [1000, 400], [999, 600])).toEqual([false, false, false, true]);
});

test("programs that have filled their limit and leave it at that are none", () => {
	expect(seen([1000, 1], [1000, 2], [1000, 3], [1000, 3], [1000, 4])).not.toContain(true);
});

test("room in between begins the count anew", () => {
	expect(seen([1000, 0], [1000, 200], [500, 300], [1000, 400], [1000, 500], [1000, 600])).not.toContain(true);
});

test("a guest without a limit of its own is never full", () => {
	expect(isFull({ count: 5000, max: Infinity, refused: 0 })).toBe(false);
});
