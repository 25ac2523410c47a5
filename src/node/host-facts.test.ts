import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { HostProbe, mountOf } from "./host-facts.ts";

const MOUNTS = `21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:5 / /data rw,relatime shared:1 - tmpfs covered rw
31 21 8:17 / /data rw,relatime shared:1 - xfs /dev/sdb1 rw
32 31 0:9 / /data/other rw - tmpfs other rw
`;

test("a directory is on the deepest mount above it, the one that was mounted last", () => {
	expect(mountOf(MOUNTS, "/data/offshoot")).toEqual({ mountPoint: "/data", device: "/dev/sdb1", filesystemType: "xfs" });
	expect(mountOf(MOUNTS, "/database")).toMatchObject({ mountPoint: "/", device: "/dev/sda1" });
});

test("a host tells what it is and what of it is used", async () => {
	const facts = await new HostProbe(tmpdir()).read(new AbortController().signal);
	expect(facts.cpuCount).toBeGreaterThan(0);
	expect(facts.cpuPercent).toBeGreaterThanOrEqual(0);
	expect(facts.cpuPercent).toBeLessThanOrEqual(100);
	expect(facts.memoryUsedBytes).toBeGreaterThan(0);
	expect(facts.memoryUsedBytes).toBeLessThan(facts.memoryTotalBytes);
	expect(facts.disk.usedBytes).toBeLessThanOrEqual(facts.disk.totalBytes);
});
