import { expect, test } from "vitest";
import { memoryBound, memoryTarget, nextLook } from "./bounds.ts";

const MB = 1024 * 1024;
const RESOURCES = { cpuCount: 2, memoryMB: 1024, diskSizeMB: 1024 };

test("a container is looked at the sooner the nearer it is to its bound, and never less than twice a second", () => {
	const looks = [0, 600, 900, 1000, 1080, 2000].map((used) => nextLook(used * MB, RESOURCES));
	expect(looks).toEqual([...looks].sort((a, b) => b - a));
	expect(looks[0]).toBeLessThanOrEqual(500);
	expect(looks.at(-1)).toBeGreaterThan(0);
});

test("a guest may use all it was promised, and is brought well below its bound when it takes more", () => {
	expect(memoryBound(RESOURCES)).toBeGreaterThan(1024 * MB);
	expect(memoryTarget(RESOURCES)).toBeLessThan(0.9 * memoryBound(RESOURCES));
});
