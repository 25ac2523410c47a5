import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FileLock } from "./file-lock.ts";

let dir: string;
let path: string;

beforeEach(async () => {
	dir = await mkdtemp(join(tmpdir(), "offshoot-lock-"));
	path = join(dir, "deep/lock");
});

afterEach(async () => {
	await rm(dir, { recursive: true, force: true });
});

/** Another process that holds the lock until it is killed. */
async function holder() {
	const module = JSON.stringify(join(import.meta.dirname, "file-lock.ts"));
	const program = `import { FileLock } from ${module};
		const lock = FileLock.tryAcquire(${JSON.stringify(path)});
		console.log(lock ? "held" : "refused");
		setInterval(() => lock, 1000);`;
	const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", program], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	const [line] = await once(child.stdout, "data");
	expect(String(line).trim()).toBe("held");
	return child;
}

test("a lock held by another process is refused, and free the moment that process is killed", async () => {
	const child = await holder();
	expect(FileLock.tryAcquire(path)).toBeUndefined();

	const waiting = FileLock.acquire(path, () => child.kill("SIGKILL"), AbortSignal.timeout(10_000));
	using lock = await waiting;
	expect(lock).toBeInstanceOf(FileLock);
});

test("waiting ends with the signal's reason", async () => {
	using _held = FileLock.tryAcquire(path);
	const controller = new AbortController();
	const reason = new Error("interrupted");
	await expect(FileLock.acquire(path, () => controller.abort(reason), controller.signal)).rejects.toBe(reason);
});

test("one that waits says so once, and goes on when the lock is free", async () => {
	const first = FileLock.tryAcquire(path);
	const waiting = Promise.withResolvers<void>();
	const second = FileLock.acquire(path, waiting.resolve, AbortSignal.timeout(10_000));
	await waiting.promise;
	first?.[Symbol.dispose]();
	using lock = await second;
	expect(lock).toBeInstanceOf(FileLock);
});

test("disposing frees the lock, once", () => {
	const first = FileLock.tryAcquire(path);
	first?.[Symbol.dispose]();
	first?.[Symbol.dispose]();
	using second = FileLock.tryAcquire(path);
	expect(second).toBeInstanceOf(FileLock);
});
