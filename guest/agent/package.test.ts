import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageGuest } from "./package.ts";

/** A root filesystem with nothing in it but the package. */
let root: string;
let version: string;
let init: ChildProcess;

const BUSYBOX = "/opt/offshoot/bin/busybox";

beforeAll(async () => {
	root = await mkdtemp(join(tmpdir(), "offshoot-package-"));
	for (const directory of ["opt", "proc", "dev/pts", "run", "tmp"]) await mkdir(join(root, directory), { recursive: true });
	const options = { nodeBinary: process.execPath, outDir: join(root, "opt/offshoot") };
	({ version } = await packageGuest(options, AbortSignal.timeout(120_000)));
	const mounts = `mount -t proc proc ${root}/proc; mknod -m 666 ${root}/dev/null c 1 3; exec chroot ${root}`;
	const command = `${mounts} /opt/offshoot/bin/tini -s -- ${BUSYBOX} sh /opt/offshoot/bin/init`;
	const namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc"];
	init = spawn("unshare", [...namespaces, "sh", "-c", command], { stdio: "ignore", env: { PATH: process.env.PATH } });
}, 120_000);

afterAll(async () => {
	init.kill("SIGKILL");
	await rm(root, { recursive: true, force: true });
});

/** Runs a shell command inside. */
function inside(script: string): string {
	const first = execFileSync("pgrep", ["-P", String(init.pid)], { encoding: "utf8" }).trim();
	const enter = ["--target", first, "--mount", "--pid", "--net", "--uts", "--root", "--wd"];
	return execFileSync("nsenter", [...enter, BUSYBOX, "sh", "-c", script], { encoding: "utf8" });
}

const health = `${BUSYBOX} ip link set lo up; ${BUSYBOX} wget -q -S -O- http://127.0.0.1:49983/health 2>&1`;

function healthy(): boolean {
	try {
		return inside(health).includes("204");
	} catch {
		return false;
	}
}

test("runs in an empty root filesystem", async () => {
	await expect.poll(healthy, { timeout: 15_000, interval: 200 }).toBe(true);
});

test("names no process after Node", async () => {
	await expect.poll(healthy, { timeout: 15_000, interval: 200 }).toBe(true);
	const names = inside(`for p in /proc/[0-9]*; do ${BUSYBOX} cat $p/comm; ${BUSYBOX} tr '\\0' ' ' < $p/cmdline; done`);
	expect(names).toContain("offshoot-agentd");
	expect(names).toContain("offshoot-sysd");
	expect(names).not.toMatch(/node/i);
});

test("starts what was killed again", async () => {
	await expect.poll(healthy, { timeout: 15_000, interval: 200 }).toBe(true);
	const agent = () => inside(`${BUSYBOX} pidof offshoot-agentd || true`).trim();
	const before = agent();
	inside(`${BUSYBOX} kill -9 ${before}`);
	await expect.poll(() => agent() !== before && agent() !== "" && healthy(), { timeout: 15_000, interval: 200 }).toBe(true);
});

test("tells its version in the tree, by its content", async () => {
	expect(version).toMatch(/^\d+\.\d+\.\d+\+[0-9a-f]{12}$/);
	expect(await readFile(join(root, "opt/offshoot/VERSION"), "utf8")).toBe(`${version}\n`);
	expect(await readdir(join(root, "opt/offshoot"))).toEqual(["VERSION", "agent", "bin", "interpreter", "lib"]);
});
