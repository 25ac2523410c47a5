import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { StuckError } from "../../engine/index.ts";
import { FakeGuest, fakeFamily, fakeProcess, MAX_PROGRAMS, MB } from "./testing/fake-guest.ts";
import { watchLimits } from "./watch.ts";

/** Watches one guest. @returns why it was given up, as often as it was */
function givenUp(guest: FakeGuest, engine: Partial<FakeGuest["engine"]> = {}): readonly string[] {
	const reasons: string[] = [];
	const watch = watchLimits({
		records: { all: () => [guest.record] },
		engines: { open: async () => ({ ...guest.engine, ...engine }) },
		log: pino({ level: "silent" }),
		isLeftAlone: () => guest.leftAlone,
		onHopeless: (_, reason) => void reasons.push(reason),
		onEnded: () => {},
	});
	onTestFinished(() => watch.stop());
	return reasons;
}

test("a guest that stops answering as its pause begins is not given up for that, and has its patience anew afterwards", async () => {
	const guest = new FakeGuest();
	guest.processes = [fakeProcess(30, { memoryBytes: 2000 * MB })];
	let asked = 0;
	guest.onAsked = () => {
		asked += 1;
		guest.leftAlone = asked === 3;
		if (guest.leftAlone) setTimeout(() => (guest.leftAlone = false), 600);
		throw new Error("no answer");
	};
	const reasons = givenUp(guest);
	await expect.poll(() => reasons).toEqual([expect.stringMatching(/^out of memory/)]);
	expect(asked).toBe(6);
});

test("a guest that could not be let run again is given up after its pause has ended, unless that lets it run", async () => {
	const guest = new FakeGuest();
	guest.processes = fakeFamily(100, MAX_PROGRAMS, { memoryBytes: 2 * MB });
	let resumed = 0;
	const reasons = givenUp(guest, {
		whileStill: async () => {
			guest.leftAlone = true;
			throw new StuckError("sandbox-1", []);
		},
		resume: async () => {
			resumed += 1;
			if (resumed === 2) throw new Error("it does not run");
		},
	});
	await expect.poll(() => guest.leftAlone).toBe(true);
	await new Promise((resolve) => setTimeout(resolve, 600));
	expect([resumed, reasons]).toEqual([0, []]);
	guest.leftAlone = false;
	await expect.poll(() => resumed).toBe(1);
	await expect.poll(() => guest.leftAlone).toBe(true);
	expect(reasons).toEqual([]);
	guest.leftAlone = false;
	await expect.poll(() => reasons.length).toBe(1);
	expect(resumed).toBe(2);
});
