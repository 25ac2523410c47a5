import { expect, test } from "vitest";
import { AnswerTooLongError } from "../../engine/index.ts";
import { relieveMemory, relieveStopped } from "./memory-relief.ts";
import { FakeGuest, fakeFamily, fakeProcess, MB } from "./testing/fake-guest.ts";

const signal = new AbortController().signal;
const BIG = fakeProcess(30, { memoryBytes: 2000 * MB });

test("what holds most memory ends, and the guest is relieved", async () => {
	const guest = new FakeGuest();
	guest.processes = [BIG, fakeProcess(31)];
	expect(await relieveMemory(guest.relief, signal)).toBe("relieved");
	expect(guest.processes.map(({ pid }) => pid)).toEqual([31]);
	expect(guest.told).toEqual([expect.stringMatching(/^Out of memory: killed process 30 /)]);
});

test("a guest that stands still for its pause while its victim is on its way out is not given up", async () => {
	const guest = new FakeGuest();
	guest.processes = [BIG];
	guest.immortal = true;
	const relieved = relieveMemory(guest.relief, signal);
	await expect.poll(() => guest.ended).toEqual(["process 30"]);
	guest.leftAlone = true;
	expect(await relieved).toBe("untouched");
});

test("nothing ends in a guest whose pause began while its processes were asked for", async () => {
	const guest = new FakeGuest();
	guest.processes = [BIG];
	guest.onAsked = () => {
		guest.leftAlone = true;
	};
	expect(await relieveMemory(guest.relief, signal)).toBe("untouched");
	expect(guest.ended).toEqual([]);
});

test("a snapshot that waits for a crowd's standstill does not save what takes the memory", async () => {
	const guest = new FakeGuest();
	guest.processes = [BIG, ...fakeFamily(100, 300)];
	guest.onAsked = () => {
		guest.leftAlone = true;
	};
	expect(await relieveMemory(guest.relief, signal)).toBe("untouched");
	expect(guest.ended).toEqual(["process 30"]);
});

test("what a former server stopped a guest for ends before it goes on", async () => {
	const guest = new FakeGuest();
	guest.processes = [BIG, fakeProcess(31)];
	guest.leftAlone = true;
	await relieveStopped(guest.relief, signal);
	expect(guest.ended).toEqual(["process 30"]);
});

test("everything that users started ends when it is too much to read which of it holds most, and the user is told so", async () => {
	const guest = new FakeGuest();
	guest.processes = [BIG, fakeProcess(31)];
	guest.onAsked = () => {
		throw new AnswerTooLongError("processes", 1);
	};
	expect(await relieveMemory(guest.relief, signal)).toBe("relieved");
	expect(guest.ended).toEqual(["everything"]);
	expect(guest.told).toEqual(["Out of memory: killed all programs of the sandbox, since they are too much to read through"]);
});

test("not even what is too much to read ends in a guest whose pause began while it was asked", async () => {
	const guest = new FakeGuest();
	guest.processes = [BIG];
	guest.onAsked = () => {
		guest.leftAlone = true;
		throw new AnswerTooLongError("processes", 1);
	};
	expect(await relieveMemory(guest.relief, signal)).toBe("untouched");
	expect(guest.ended).toEqual([]);
});
