import { existsSync, readdirSync } from "node:fs";
import { Sandbox } from "e2b";
import { afterAll, beforeAll, expect, test } from "vitest";
import { campaignLength } from "../support/random.ts";
import { rest } from "../support/rest.ts";
import { deleteAtEnd, newSandbox, until } from "../support/sandboxes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { MANY_ARGUMENTS, MANY_DESCRIPTORS, MEMORY_HOG } from "./hogs.ts";

/** What `base` promises. */
const MEMORY_KB = 1024 * 1024;

async function memoryTotal(sandbox: Sandbox): Promise<number> {
	const { stdout } = await sandbox.commands.run("grep MemTotal /proc/meminfo");
	return Number(/(\d+) kB/.exec(stdout)?.[1]);
}

/** What the sandbox's own log says of level warn and above, newest first. */
async function warnings({ sandboxId }: Sandbox): Promise<string[]> {
	const { body } = await rest("GET", `/v2/sandboxes/${sandboxId}/logs?level=warn`);
	return body.logs.map(({ message }: { readonly message: string }) => message);
}

/** How a command that must not succeed ended. */
async function ending(sandbox: Sandbox, command: string): Promise<string> {
	return sandbox.commands.run(command, { timeoutMs: 60_000 }).then(
		() => "it succeeded",
		(error: unknown) => String(error),
	);
}

test("a process that takes all memory is killed like on Linux; its sandbox and its neighbours live on", async () => {
	const sandbox = await newSandbox();
	expect(await memoryTotal(sandbox)).toBe(MEMORY_KB);
	const keeper = await sandbox.commands.run("sleep 1000", { background: true });
	const times = campaignLength(5, 20);
	for (let turn = 0; turn < times; turn++) {
		expect(await ending(sandbox, MEMORY_HOG)).toMatch(/signal: killed/);
		expect((await sandbox.commands.run("echo alive")).stdout).toBe("alive\n");
	}
	expect((await sandbox.commands.list()).map(({ pid }) => pid)).toContain(keeper.pid);
	expect(await warnings(sandbox)).toContainEqual(
		expect.stringMatching(/^Out of memory: killed process \d+ \(.*python3.*\), which held \d+ MB of the sandbox's 1024 MB$/),
	);
}, 600_000);

test("hogs at once, and one that fills whole mappings at a time, end as well", async () => {
	const sandbox = await newSandbox();
	const several = `for n in 1 2 3; do ${MEMORY_HOG} & done; wait; echo all gone`;
	expect((await sandbox.commands.run(several, { timeoutMs: 60_000 })).stdout).toBe("all gone\n");
	const populate = `python3 -c "
import mmap
held = []
while True: held.append(mmap.mmap(-1, 128 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE))"`;
	expect(await ending(sandbox, populate)).toMatch(/signal: killed/);
	expect((await sandbox.commands.run("echo alive")).stdout).toBe("alive\n");
}, 180_000);

/** Waits until so many processes of Python stay. */
async function pythons(sandbox: Sandbox, count: number): Promise<void> {
	await until(`${count} processes`, async () => {
		const { stdout } = await sandbox.commands.run("pgrep -c python3 || true");
		return Number(stdout) === count;
	});
}

test("processes with any number of arguments live on when a hog beside them is killed", async () => {
	const sandbox = await newSandbox();
	await sandbox.commands.run(MANY_ARGUMENTS, { background: true, timeoutMs: 0 });
	await pythons(sandbox, 32);
	expect(await ending(sandbox, MEMORY_HOG)).toMatch(/signal: killed/);
	await pythons(sandbox, 32);
	expect(await warnings(sandbox)).toEqual([expect.stringMatching(/^Out of memory: killed process \d+ /)]);
}, 180_000);

test("with processes too long to tell, a hog ends as all programs do, and the sandbox lives on", async () => {
	const sandbox = await newSandbox();
	await sandbox.commands.run(MANY_DESCRIPTORS, { background: true, timeoutMs: 0 });
	await pythons(sandbox, 8);
	expect(await ending(sandbox, MEMORY_HOG)).toMatch(/signal: killed/);
	await pythons(sandbox, 0);
	expect(await warnings(sandbox)).toContain(
		"Out of memory: killed all programs of the sandbox, since they are too much to read through",
	);
}, 180_000);

test("a sandbox made from a snapshot has the limits of its source", async () => {
	const source = await newSandbox();
	const { snapshotId } = await source.createSnapshot();
	const child = await newSandbox(deleteAtEnd(snapshotId));
	expect(await memoryTotal(child)).toBe(MEMORY_KB);
	expect(await ending(child, MEMORY_HOG)).toMatch(/signal: killed/);
	expect((await child.commands.run("echo alive")).stdout).toBe("alive\n");
}, 180_000);

test("a sandbox with many files survives its snapshots, and its programs may have all its memory afterwards", async () => {
	const sandbox = await newSandbox();
	const files = campaignLength(40_000, 100_000);
	const make = `mkdir many && cd many && python3 -c "for n in range(${files}): open(f'{n}', 'w').close()"`;
	await sandbox.commands.run(make, { timeoutMs: 300_000 });
	for (let turn = 0; turn < 2; turn++) deleteAtEnd((await sandbox.createSnapshot({ requestTimeoutMs: 120_000 })).snapshotId);
	const { stdout } = await sandbox.commands.run(
		'python3 -c "held = bytearray(900 << 20); print(len(held) >> 20)"; ls many | wc -l',
	);
	expect(stdout).toBe(`900\n${files}\n`);
}, 600_000);

test("files in memory are bounded, so that they cannot end the sandbox", async () => {
	const sandbox = await newSandbox();
	expect(await ending(sandbox, "head -c 2G /dev/zero > /dev/shm/full")).toMatch(/exit status 1/);
	expect((await sandbox.commands.run("rm /dev/shm/full; echo alive")).stdout).toBe("alive\n");
}, 180_000);

test("a full disk is an error for the guest and 507 for an upload", async () => {
	const sandbox = await newSandbox();
	const { stdout } = await sandbox.commands.run(
		"fallocate -l $(($(df --output=avail -k / | tail -1) - 64))K full; head -c 1M /dev/zero > more || echo refused",
	);
	expect(stdout).toBe("refused\n");
	await expect(sandbox.files.write("upload", "x".repeat(1 << 20))).rejects.toThrow(/507|space/i);
	expect((await sandbox.commands.run("rm full; echo alive")).stdout).toBe("alive\n");
}, 180_000);

let server: TestServer;
beforeAll(async () => {
	server = await startTestServer();
});
afterAll(() => server.destroy());

function cgroupsOf(instance: string): string[] {
	const roots = ["/sys/fs/cgroup", ...readdirSync("/sys/fs/cgroup").map((name) => `/sys/fs/cgroup/${name}`)];
	return roots.map((root) => `${root}/offshoot-${instance}`).filter((path) => existsSync(path));
}

test("limits hold after a restart of a killed server, and `down` leaves no cgroup", async () => {
	const { instance } = await server.status();
	expect(cgroupsOf(instance)).not.toEqual([]);
	const sandbox = await Sandbox.create("base", server.sdk);
	await server.killHard();
	await server.start();
	expect(await ending(sandbox, MEMORY_HOG)).toMatch(/signal: killed/);
	expect((await sandbox.commands.run("echo alive")).stdout).toBe("alive\n");
	await server.cli("down");
	expect(cgroupsOf(instance)).toEqual([]);
}, 300_000);
