import { expect, test } from "vitest";
import { excessBytes, hostBound, marginBytes, memoryBound, nextLook } from "./bounds.ts";

const MB = 1024 * 1024;
const RESOURCES = { cpuCount: 2, memoryMB: 1024, diskSizeMB: 1024 };

function excess(guestMB: number, engineMB: number): number {
	return excessBytes({ guestBytes: guestMB * MB, engineBytes: engineMB * MB, oomKills: 0, tasksRefused: 0 }, RESOURCES);
}

test("a container is looked at the sooner the less room it has, and never less than twice a second", () => {
	const looks = [1000, 400, 100, 20, 0, -900].map((roomMB) => nextLook(roomMB * MB));
	expect(looks).toEqual([...looks].sort((a, b) => b - a));
	expect(looks[0]).toBeLessThanOrEqual(500);
	expect(looks.at(-1)).toBeGreaterThan(0);
});

test("a guest may use all it was promised, whatever the engine holds, and is brought well below that when it takes more", () => {
	expect(excess(1024, 20)).toBeLessThanOrEqual(0);
	expect(excess(1024, 1200)).toBeLessThanOrEqual(0);
	expect(excess(1100, 20)).toBeGreaterThan(0);
	expect(marginBytes(RESOURCES)).toBeGreaterThan(0.1 * memoryBound(RESOURCES));
});

test("what the engine holds counts when the host's limit is near", () => {
	expect(excess(900, 1500)).toBe(2400 * MB - hostBound(RESOURCES));
});
