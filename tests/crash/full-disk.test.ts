import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, statfs, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Sandbox, SandboxError, ServiceBusyError } from "e2b";
import { afterAll, beforeAll, expect, test } from "vitest";
import { restAt } from "../support/rest.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/** A server whose data directory is a small disk of its own, to be filled. */
const execute = promisify(execFile);
const MB = 1024 * 1024;

let disk: string;
let server: TestServer;
beforeAll(async () => {
	disk = await mkdtemp(join(tmpdir(), "offshoot-disk-"));
	await execute("mount", ["-t", "tmpfs", "-o", "size=4g", "offshoot-test", disk]);
	server = await startTestServer({ dataDir: disk });
});
afterAll(async () => {
	await server.destroy();
	await execute("umount", [disk]);
	await rm(disk, { recursive: true, force: true });
});

async function fillUntil(freeMB: number): Promise<void> {
	const { bavail, bsize } = await statfs(disk);
	const size = Math.max(0, bavail * bsize - freeMB * MB);
	await execute("fallocate", ["-l", String(size), join(disk, "ballast")]);
}

const empty = () => truncate(join(disk, "ballast"), 0);

test("a snapshot that might fill the disk is refused with what to do, and the source lives on", async () => {
	const source = await Sandbox.create("base", server.sdk);
	const { pid } = await source.commands.run("sleep 100000", { background: true });
	await fillUntil(100);
	const refused = await source.createSnapshot().catch((error: unknown) => error);
	expect(refused).toBeInstanceOf(SandboxError);
	expect(refused).toMatchObject({ statusCode: 507, message: expect.stringMatching(/disk space.*Delete snapshots/s) });
	await expect(source.pause()).rejects.toThrow(/disk space/);
	expect((await source.commands.list()).map((process) => process.pid)).toContain(pid);
	expect(await source.isRunning()).toBe(true);
	const listed = await Sandbox.listSnapshots(server.sdk).nextItems();
	expect(listed).toEqual([]);

	await empty();
	const { snapshotId } = await source.createSnapshot();
	const child = await Sandbox.create(snapshotId, server.sdk);
	expect((await child.commands.list()).map((process) => process.pid)).toContain(pid);
	await Promise.all([child.kill(), source.kill()]);
	await Sandbox.deleteSnapshot(snapshotId, server.sdk);
});

test("a sandbox that there is no room for is refused before anything is begun, and may be asked for again", async () => {
	await fillUntil(100);
	const refused = await Sandbox.create("base", server.sdk).catch((error: unknown) => error);
	expect(refused).toBeInstanceOf(ServiceBusyError);
	expect(String(refused)).toMatch(/no room for another sandbox: \d+ MB of disk space are free/);
	const { status, body, headers } = await restAt(
		server.url,
		"POST",
		"/v2/sandboxes",
		{ templateID: "base" },
		{ "X-API-KEY": server.apiKey },
	);
	expect([status, headers.get("retry-after"), headers.get("should-retry")]).toEqual([503, "5", "true"]);
	expect(body).toMatchObject({ code: 503, error_code: "sandbox_capacity_unavailable" });
	await empty();
	await (await Sandbox.create("base", server.sdk)).kill();
});

test("a disk that fills up during snapshots yields whole snapshots or clear errors, never a damaged one", async () => {
	const source = await Sandbox.create("base", server.sdk);
	await source.commands.run("head -c 60000000 /dev/urandom > /dev/shm/held");
	const made: string[] = [];
	const refused: string[] = [];
	for (let round = 0; round < 6; round++) {
		// Room enough to begin; it is taken away while the image is being written.
		await fillUntil(450);
		const snapshot = source.createSnapshot().then(
			({ snapshotId }) => made.push(snapshotId),
			(error: unknown) => refused.push(String(error)),
		);
		await writeFile(join(disk, "flood"), Buffer.alloc(400 * MB)).catch(() => {});
		await snapshot;
		await rm(join(disk, "flood"), { force: true });
		await empty();
	}
	for (const error of refused) expect(error).toMatch(/disk/i);
	expect(made.length + refused.length).toBe(6);
	for (const snapshotId of made) {
		const clone = await Sandbox.create(snapshotId, server.sdk);
		expect((await clone.commands.run("stat -c %s /dev/shm/held")).stdout).toBe("60000000\n");
		await clone.kill();
		await Sandbox.deleteSnapshot(snapshotId, server.sdk);
	}
	expect((await source.commands.run("echo alive")).stdout).toBe("alive\n");
	await source.kill();
	expect(await readdir(join(disk, "artifacts/.staging"))).toEqual([]);
});
