import { expect, test } from "vitest";
import { findLayout } from "./mounts.ts";
import type { CgroupLayout } from "./types.ts";

const V1 = `25 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
29 25 0:26 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
30 25 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw`;
const V2 = "31 1 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";

function layout(mountinfo: string, controllers = ""): CgroupLayout {
	const found = findLayout(mountinfo, () => controllers);
	if (found === undefined) throw new Error("no layout found");
	return found;
}

function reader(files: Readonly<Record<string, string>>) {
	return (path: string) => files[path];
}

test("version 1: every hierarchy has the group, also those without a controller of interest", () => {
	expect(layout(V1).version).toBe(1);
	expect(layout(V1).dirs("/o/x").toSorted()).toEqual([
		"/sys/fs/cgroup/cpu,cpuacct/o/x",
		"/sys/fs/cgroup/memory/o/x",
		"/sys/fs/cgroup/pids/o/x",
		"/sys/fs/cgroup/systemd/o/x",
	]);
});

test("version 1: file cache is charged to nobody, shared memory to the guest, the rest to the engine; kills and refusals are read", () => {
	const read = reader({
		"/sys/fs/cgroup/memory/o/x/memory.usage_in_bytes": "1000\n",
		"/sys/fs/cgroup/memory/o/x/memory.stat": "inactive_file 1\ntotal_shmem 500\ntotal_inactive_file 200\ntotal_active_file 100\n",
		"/sys/fs/cgroup/memory/o/x/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
		"/sys/fs/cgroup/pids/o/x/pids.current": "17\n",
		"/sys/fs/cgroup/pids/o/x/pids.events": "max 3\n",
	});
	expect(layout(V1).usage("/o/x", read)).toEqual({ chargedBytes: 1000, tasks: 17 });
	expect(layout(V1).pressure("/o/x", read)).toEqual({ guestBytes: 500, engineBytes: 200, oomKills: 2, tasksRefused: 3 });
	expect(layout(V1).usage("/o/gone", read)).toBeUndefined();
	expect(layout(V1).bound("/o/x", { high: 5, max: 6 })).toEqual([
		{ path: "/sys/fs/cgroup/memory/o/x/memory.limit_in_bytes", value: "6" },
	]);
});

test("version 2: one group; the same figures under other names", () => {
	const read = reader({
		"/sys/fs/cgroup/o/x/memory.current": "1000\n",
		"/sys/fs/cgroup/o/x/memory.stat": "anon 1\nshmem 500\ninactive_file 200\nactive_file 100\n",
		"/sys/fs/cgroup/o/x/memory.events": "low 0\nhigh 7\nmax 1\noom 1\noom_kill 1\n",
		"/sys/fs/cgroup/o/x/pids.current": "17\n",
		"/sys/fs/cgroup/o/x/pids.events": "max 0\n",
	});
	const v2 = layout(V2, "cpuset cpu io memory pids\n");
	expect(v2.dirs("/o/x")).toEqual(["/sys/fs/cgroup/o/x"]);
	expect(v2.usage("/o/x", read)).toEqual({ chargedBytes: 1000, tasks: 17 });
	expect(v2.pressure("/o/x", read)).toEqual({ guestBytes: 500, engineBytes: 200, oomKills: 1, tasksRefused: 0 });
	expect(v2.bound("/o/x", { high: 5, max: 6 }).map(({ value }) => value)).toEqual(["6", "5"]);
});

test.each([
	["no cgroups at all", "25 1 0:22 / / rw - ext4 /dev/vda rw", ""],
	["version 1 without memory", V1.replace(/^27 .*\n/m, ""), ""],
	["version 2 without pids", V2, "cpu memory"],
])("a host with %s cannot bound sandboxes", (_name, mountinfo, controllers) => {
	expect(findLayout(mountinfo, () => controllers)).toBeUndefined();
});
