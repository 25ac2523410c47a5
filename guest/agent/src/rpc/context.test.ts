import { describe, expect, test } from "vitest";
import { keepaliveMs } from "./context.ts";

const asked = (interval?: string) =>
	keepaliveMs({ requestHeader: new Headers(interval === undefined ? {} : { "Keepalive-Ping-Interval": interval }) });

describe("keep-alives come", () => {
	test("after 90 s of silence unless the client asks for another interval", () => {
		expect(asked()).toBe(90_000);
		expect(["1", "2.5", "50", "86400"].map(asked)).toEqual([1_000, 2_500, 50_000, 86_400_000]);
	});

	test.each(["0", "-1", "0.5", "86401", "1e99", "soon", ""])("after 90 s when the interval asked for is '%s'", (interval) => {
		expect(asked(interval)).toBe(90_000);
	});
});
