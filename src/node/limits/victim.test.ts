import { expect, test } from "vitest";
import type { GuestProcess } from "../../engine/index.ts";
import { largestFamily, largestProcesses } from "./victim.ts";

function process(pid: number, memoryBytes: number, more: Partial<GuestProcess> = {}): GuestProcess {
	return { pid, parentPid: 1, groupId: pid, program: "/usr/bin/python3", args: ["python3"], memoryBytes, ...more };
}

const SERVICES = [
	process(1, 500, { program: "/opt/offshoot/bin/tini" }),
	process(2, 500, { program: "/opt/offshoot/bin/busybox", args: ["/opt/offshoot/bin/busybox", "sh", "/opt/offshoot/bin/init"] }),
	process(7, 900, { program: "/opt/offshoot/bin/offshoot-agentd", groupId: 2 }),
];

test("the largest processes end, as few as are needed, and never a service of the sandbox", () => {
	const processes = [...SERVICES, process(20, 100), process(21, 300), process(22, 200)];
	expect(largestProcesses(processes, 250).map(({ pid }) => pid)).toEqual([21]);
	expect(largestProcesses(processes, 450).map(({ pid }) => pid)).toEqual([21, 22]);
});

test("nobody ends when ending everybody would not give back enough", () => {
	expect(largestProcesses([...SERVICES, process(20, 100)], 200)).toEqual([]);
	expect(largestProcesses(SERVICES, 200)).toEqual([]);
});

test("the largest family is the process group with most members, unless a service is among them", () => {
	const bomb = [30, 31, 32].map((pid) => process(pid, 1, { groupId: 30 }));
	const besideAgent = [40, 41, 42, 43].map((pid) => process(pid, 1, { groupId: 2 }));
	const all = [...SERVICES, ...besideAgent, ...bomb, process(50, 1)];
	expect(largestFamily(all, all)).toEqual({ groupId: 30, members: bomb });
	expect(largestFamily(SERVICES, SERVICES)).toBeUndefined();
});

test("the sandbox's services are not among those to blame, so that few processes of users are told apart", () => {
	const services = Array.from({ length: 12 }, (_, index) => ({
		...process(100 + index, 1, { groupId: 2 }),
		...SERVICES[2],
		groupId: 2,
	}));
	const family = [30, 31].map((pid) => process(pid, 1, { groupId: 30 }));
	const all = [...services, ...family, process(50, 1)];
	expect(largestFamily(all, all)).toEqual({ groupId: 30, members: family });
});

test("a family is as large as what counts of its members", () => {
	const build = [40, 41, 42, 43, 44].map((pid) => process(pid, 1, { groupId: 40 }));
	const threaded = [30, 31].map((pid) => process(pid, 1, { groupId: 30 }));
	const all = [...SERVICES, ...build, ...threaded];
	expect(largestFamily(all, all, ({ pid }) => (pid === 31 ? 900 : 1))?.groupId).toBe(30);
});

test("a family is counted by those of it that are to blame, and ends with all its members", () => {
	const hogs = [30, 31].map((pid) => process(pid, 900, { groupId: 30 }));
	const parent = process(29, 1, { groupId: 30 });
	const others = [40, 41, 42, 43].map((pid) => process(pid, 1, { groupId: 40 }));
	expect(largestFamily(hogs, [...SERVICES, parent, ...hogs, ...others])).toEqual({ groupId: 30, members: [parent, ...hogs] });
});

test("no family is to blame when each process has a group of its own", () => {
	const strangers = [30, 31, 32, 33, 34].map((pid) => process(pid, 1));
	expect(largestFamily(strangers, [...SERVICES, ...strangers])).toBeUndefined();
});
