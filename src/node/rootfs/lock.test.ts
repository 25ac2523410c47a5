import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as letOthersRun } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { withLock } from "./lock.ts";

const LOCK = fileURLToPath(new URL("lock.ts", import.meta.url));
const { signal } = new AbortController();
let directory: string;
let file: string;

beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "offshoot-lock-"));
	file = join(directory, "lock");
});
afterEach(() => rm(directory, { recursive: true }));

test("a second builder waits, says so, and goes on when the first is done", async () => {
	const events: string[] = [];
	const waiting = Promise.withResolvers<void>();
	const first = withLock(file, { signal }, async () => {
		await waiting.promise;
		await letOthersRun();
		events.push("first is done");
	});
	const second = withLock(file, { signal, onWait: waiting.resolve }, async () => events.push("second begins"));
	await Promise.all([first, second]);
	expect(events).toEqual(["first is done", "second begins"]);
});

test("a builder that fails frees the lock", async () => {
	const failing = withLock(file, { signal }, () => Promise.reject(new Error("broken")));
	await expect(failing).rejects.toThrow("broken");
	expect(await withLock(file, { signal }, async () => "next")).toBe("next");
});

test("a builder that is killed leaves no lock behind", async () => {
	const program = join(directory, "builder.ts");
	await writeFile(
		program,
		`import { withLock } from ${JSON.stringify(LOCK)};
		await withLock(${JSON.stringify(file)}, { signal: new AbortController().signal }, async () => {
			console.log("locked");
			await new Promise((resolve) => setTimeout(resolve, 1_000_000));
		});`,
	);
	const builder = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
	await once(builder.stdout, "data");
	await withLock(file, { signal, onWait: () => builder.kill("SIGKILL") }, async () => {});
	expect(builder.killed).toBe(true);
});

test("waiting ends with the signal's reason when aborted", async () => {
	const controller = new AbortController();
	const reason = new Error("interrupted");
	await withLock(file, { signal }, async () => {
		const onWait = () => controller.abort(reason);
		await expect(withLock(file, { signal: controller.signal, onWait }, async () => {})).rejects.toBe(reason);
	});
});
