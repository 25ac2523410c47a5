import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { containersOf } from "../support/host.ts";
import { newSandbox } from "../support/sandboxes.ts";

/**
 * Processors whose time the host's kernel lets a process have, by the cgroup that it is in. Read and not measured: a host
 * with no more processors than the sandbox would show nothing.
 */
async function allowedCpus(pid: number): Promise<number> {
	const lines = (await readFile(`/proc/${pid}/cgroup`, "utf8")).trim().split("\n");
	const [, controllers = "", path = ""] = lines.map((line) => line.split(":")).find(([, names]) => isCpu(names)) ?? [];
	const dir = join("/sys/fs/cgroup", controllers, path);
	const read = async (name: string) => (await readFile(join(dir, name), "utf8")).trim();
	const [quota, period] =
		controllers === "" ? (await read("cpu.max")).split(" ") : [await read("cpu.cfs_quota_us"), await read("cpu.cfs_period_us")];
	return Number(quota) / Number(period);
}

/** Version 1 names its controllers, version 2 none. */
function isCpu(controllers = ""): boolean {
	return controllers === "" || controllers.split(",").includes("cpu");
}

test("the host lets a sandbox have the time of its CPUs, and no more", async () => {
	const sandbox = await newSandbox();
	const { cpuCount } = await sandbox.getInfo();
	const instance = (await readFile(join(inject("server").dataDir, "instance"), "utf8")).trim();
	const container = (await containersOf(instance)).find(({ sandboxId }) => sandboxId === sandbox.sandboxId);
	expect(await allowedCpus(container?.pid ?? 0)).toBe(cpuCount);
});
