import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ForkLooks } from "./fork-looks.ts";
import { FakeGuest, fakeFamily, MAX_PROGRAMS } from "./testing/fake-guest.ts";

const signal = new AbortController().signal;
const CROWD = fakeFamily(100, MAX_PROGRAMS);

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: 0 }));
afterEach(() => void vi.useRealTimers());

/** A full guest that was looked at, and what a look says 10 s later, after 200 refusals and whatever `happens`. */
async function lookAfter(happens: (guest: FakeGuest, looks: ForkLooks) => Promise<void>): Promise<boolean> {
	const guest = new FakeGuest();
	guest.processes = CROWD;
	const looks = new ForkLooks(guest.relief);
	expect(await looks.withoutEnd(signal)).toBe(false);
	await happens(guest, looks);
	vi.setSystemTime(10_000);
	guest.refused = 200;
	return looks.withoutEnd(signal);
}

test("what goes on forking in a full guest is seen", async () => {
	expect(await lookAfter(async () => {})).toBe(true);
});

test("refusals are counted anew after a time with few programs", async () => {
	const emptied = lookAfter(async (guest, looks) => {
		guest.processes = [];
		expect(await looks.withoutEnd(signal)).toBe(false);
		guest.processes = CROWD;
	});
	expect(await emptied).toBe(false);
});

test("one snapshot after the other does not hide a bomb", async () => {
	const captured = lookAfter(async (guest, looks) => {
		guest.leftAlone = true;
		expect(await looks.withoutEnd(signal)).toBe(false);
		guest.leftAlone = false;
	});
	expect(await captured).toBe(true);
});
