import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { isAlive, memoryFootprint } from "./host-process.ts";

test("a process is alive until it ends, also while nobody has reaped it", async () => {
	const child = spawn("sh", ["-c", "sleep 0 & exec sleep 30"], { stdio: "ignore" });
	const { pid } = child;
	if (pid === undefined) throw new Error("sleep did not start");
	expect(isAlive(pid)).toBe(true);
	child.kill("SIGKILL");
	await once(child, "exit");
	expect(isAlive(pid)).toBe(false);
	expect(isAlive(0)).toBe(false);
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
