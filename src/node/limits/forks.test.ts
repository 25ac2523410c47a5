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

test("programs that are full for days and are refused something now and then are none", () => {
	const watch = new ForkWatch();
	const minutes = Array.from({ length: 600 }, (_, minute) => minute);
	const looks = minutes.map((minute) => watch.sees({ count: 1000, max: MAX, refused: minute }, minute * 60_000));
	expect(looks).not.toContain(true);
});

test("a look that comes late takes what was refused in an hour for no bomb", () => {
	const watch = new ForkWatch();
	expect(watch.sees({ count: 1000, max: MAX, refused: 0 }, 0)).toBe(false);
	expect(watch.sees({ count: 1000, max: MAX, refused: 100 }, 3_600_000)).toBe(false);
});

test("what begins to fork without end after days at its limit is a bomb", () => {
	const watch = new ForkWatch();
	const looks = [0, 1, 2, 3, 4, 5, 6, 7].map((second) =>
		watch.sees({ count: 1000, max: MAX, refused: second < 4 ? 0 : second * 100 }, second * 1000),
	);
	expect(looks).toContain(true);
});

test("a guest without a limit of its own is never full", () => {
	expect(isFull({ count: 5000, max: Infinity, refused: 0 })).toBe(false);
});
