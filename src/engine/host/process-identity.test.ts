import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { identifyProcess, isAlive } from "./process-identity.ts";

test("a process that took over the pid of a dead one is not taken for it", () => {
	const self = identifyProcess(process.pid);
	if (self === undefined) throw new Error("this process is not in /proc");
	expect(isAlive(self)).toBe(true);
	expect(isAlive({ ...self, startTicks: "1" })).toBe(false);
	expect(isAlive({ ...self, bootId: "an earlier boot" })).toBe(false);
});

test("a process that ended has none", async () => {
	const child = spawn("true", { stdio: "ignore" });
	await once(child, "exit");
	expect(identifyProcess(child.pid ?? 0)).toBeUndefined();
});
