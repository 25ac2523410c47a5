import { expect, onTestFinished, test, vi } from "vitest";
import { AnswerTooLongError } from "../../engine/index.ts";
import { relieveForks } from "./fork-relief.ts";
import { FakeGuest, fakeFamily, fakeProcess, MAX_PROGRAMS } from "./testing/fake-guest.ts";

const signal = new AbortController().signal;
const BOMB = fakeFamily(100, MAX_PROGRAMS - 1);
const KEEPER = fakeProcess(30);

test("the largest process group ends, and what else runs in the guest goes on", async () => {
	const guest = new FakeGuest();
	guest.processes = [KEEPER, ...BOMB];
	expect(await relieveForks(guest.relief, signal)).toBe("relieved");
	expect(guest.processes).toEqual([KEEPER]);
});

test("what starts threads without end ends, and not what has more processes beside it", async () => {
	const guest = new FakeGuest();
	const build = fakeFamily(40, 5);
	const pool = fakeFamily(30, 2);
	guest.processes = [...build, ...pool];
	guest.threads.set(31, MAX_PROGRAMS - 6);
	expect(await relieveForks(guest.relief, signal)).toBe("relieved");
	expect(guest.processes).toEqual(build);
	expect(guest.told).toEqual([expect.stringContaining("the process group 30 with its 2 processes (1019 threads)")]);
});

test("a guest that stands still for its capture while its bomb is on its way out does not use up its patience", async () => {
	vi.useFakeTimers({ toFake: ["Date"] });
	onTestFinished(() => void vi.useRealTimers());
	const guest = new FakeGuest();
	guest.processes = [KEEPER, ...BOMB];
	guest.immortal = true;
	const relieved = relieveForks(guest.relief, signal);
	await expect.poll(() => guest.ended).toEqual(["group 100"]);
	guest.leftAlone = true;
	vi.setSystemTime(Date.now() + 60_000);
	await new Promise((resolve) => setTimeout(resolve, 600));
	expect(guest.ended).toEqual(["group 100"]);
	guest.leftAlone = false;
	guest.processes = [KEEPER];
	expect(await relieved).toBe("relieved");
});

test("a snapshot that waits for the guest's standstill does not save the bomb", async () => {
	const guest = new FakeGuest();
	guest.processes = [KEEPER, ...BOMB];
	guest.onAsked = () => {
		guest.leftAlone = true;
	};
	expect(await relieveForks(guest.relief, signal)).toBe("relieved");
	expect(guest.ended).toEqual(["group 100"]);
});

test("everything ends when no process group is to blame, and the user is told so", async () => {
	const guest = new FakeGuest();
	guest.processes = Array.from({ length: MAX_PROGRAMS }, (_, index) => fakeProcess(100 + index));
	expect(await relieveForks(guest.relief, signal)).toBe("relieved");
	expect(guest.told).toEqual([
		expect.stringContaining("killed all programs of the sandbox, since no one process group is to blame"),
	]);
});

test("everything ends when ending the largest groups has not helped, and the user is told that", async () => {
	vi.useFakeTimers({ toFake: ["Date"] });
	// A second of patience goes by in ten milliseconds.
	const hurry = setInterval(() => vi.setSystemTime(Date.now() + 1_000), 10);
	onTestFinished(() => {
		clearInterval(hurry);
		vi.useRealTimers();
	});
	const guest = new FakeGuest();
	guest.processes = BOMB;
	guest.immortal = true;
	expect(await relieveForks(guest.relief, signal)).toBe("hopeless");
	expect(guest.ended).toEqual(["group 100", "group 100", "everything"]);
	expect(guest.told.at(-1)).toBe(
		"Too many processes: killed all programs of the sandbox, since ending its largest process groups made no room",
	);
});

test("everything ends when it is too much to read which group is the largest, and the user is told so", async () => {
	const guest = new FakeGuest();
	guest.processes = [KEEPER, ...BOMB];
	guest.onAsked = () => {
		throw new AnswerTooLongError("processes", 1);
	};
	expect(await relieveForks(guest.relief, signal)).toBe("relieved");
	expect(guest.ended).toEqual(["everything"]);
	expect(guest.told).toEqual(["Too many processes: killed all programs of the sandbox, since they are too much to read through"]);
});
