import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { hostProcess, isRunning, memoryFootprint } from "./host-process.ts";

test("a process is alive until it ends, also while nobody has reaped it", async () => {
	const child = spawn("sh", ["-c", "sleep 0 & exec sleep 30"], { stdio: "ignore" });
	const { pid } = child;
	if (pid === undefined) throw new Error("sleep did not start");
	const process = hostProcess(pid);
	expect(isRunning(process)).toBe(true);
	child.kill("SIGKILL");
	await once(child, "exit");
	expect(isRunning(process)).toBe(false);
	expect(isRunning(hostProcess(pid))).toBe(false);
	expect(isRunning({ pid: 0 })).toBe(false);
});

test("a process that took over the pid of a container is not taken for it; a record without its start believes the pid", () => {
	const { pid } = process;
	expect(isRunning({ pid, startTicks: "1" })).toBe(false);
	expect(isRunning({ pid })).toBe(true);
});

test("the footprint counts files without a name once, by what they occupy", async () => {
	const script =
		"import os,time;f=os.memfd_create('x');os.write(f,b'1'*8388608);os.dup(f);print('ready',flush=True);time.sleep(30)";
	const child = spawn("python3", ["-c", script], { stdio: ["ignore", "pipe", "ignore"] });
	await once(child.stdout, "data");
	try {
		const bytes = memoryFootprint(child.pid ?? 0);
		expect(bytes).toBeGreaterThanOrEqual(8 * 1024 * 1024);
		expect(bytes).toBeLessThan(16 * 1024 * 1024);
	} finally {
		child.kill("SIGKILL");
	}
});
