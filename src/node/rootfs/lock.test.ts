import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { acquireLock } from "./lock.ts";

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
	const first = await acquireLock(file, { signal });
	const waiting = Promise.withResolvers<void>();
	const second = acquireLock(file, { signal, onWait: () => waiting.resolve() }).then(async (lock) => {
		events.push("second has it");
		await lock[Symbol.asyncDispose]();
	});
	await waiting.promise;
	events.push("first lets go");
	await first[Symbol.asyncDispose]();
	await second;
	expect(events).toEqual(["first lets go", "second has it"]);
});

test("a builder that is killed leaves no lock behind", async () => {
	const program = join(directory, "builder.ts");
	await writeFile(
		program,
		`import { acquireLock } from ${JSON.stringify(LOCK)};
		const lock = await acquireLock(${JSON.stringify(file)}, { signal: new AbortController().signal });
		console.log("locked");
		await new Promise(() => setInterval(() => lock, 1000));`,
	);
	const builder = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
	await once(builder.stdout, "data");
	const next = acquireLock(file, { signal, onWait: () => builder.kill("SIGKILL") });
	await (await next)[Symbol.asyncDispose]();
	expect(builder.killed).toBe(true);
});

test("waiting ends with the signal's reason when aborted", async () => {
	await using _held = await acquireLock(file, { signal });
	const controller = new AbortController();
	const reason = new Error("interrupted");
	const waiting = acquireLock(file, { signal: controller.signal, onWait: () => controller.abort(reason) });
	await expect(waiting).rejects.toBe(reason);
});
