import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CommandError } from "../../engine/index.ts";
import { run } from "./run.ts";

const RUN = fileURLToPath(new URL("run.ts", import.meta.url));
let directory: string;

beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "offshoot-run-"));
});
afterEach(() => rm(directory, { recursive: true }));

/** A process that ended but that nobody has waited for yet counts as ended. */
async function isAlive(pid: number): Promise<boolean> {
	const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
	return stat !== undefined && !/\) [ZX] /.test(stat);
}

test("a program that fails is reported with its code and last lines", async () => {
	const failed = run(["sh", "-c", "seq 1 50; echo last words >&2; exit 3"], { signal: new AbortController().signal });
	const error = await failed.catch((reason: unknown) => reason);
	expect(error).toBeInstanceOf(CommandError);
	expect(error).toMatchObject({ message: expect.stringMatching(/^sh exited with 3:/), exitCode: 3 });
	expect(String(error).split("\n")).toEqual(expect.arrayContaining(["50", "last words"]));
});

test("an abort kills the program with its children before the promise settles", async () => {
	const controller = new AbortController();
	const child = Promise.withResolvers<number>();
	const running = run(["sh", "-c", "sleep 1000 & echo $!; wait"], {
		signal: controller.signal,
		onLine: (line) => child.resolve(Number(line)),
	});
	const pid = await child.promise;
	const reason = new Error("interrupted");
	controller.abort(reason);
	await expect(running).rejects.toBe(reason);
	await vi.waitFor(() => expect(isAlive(pid)).resolves.toBe(false));
});

test("a program dies with the process that started it", async () => {
	const parent = join(directory, "parent.ts");
	await writeFile(
		parent,
		`import { run } from ${JSON.stringify(RUN)};
		await run(["sh", "-c", "echo $$; exec sleep 1000"], { signal: new AbortController().signal, onLine: console.log });`,
	);
	const node = spawn(process.execPath, [parent], { stdio: ["ignore", "pipe", "inherit"] });
	const [line] = await once(createInterface({ input: node.stdout }), "line");
	const pid = Number(line);
	expect(await isAlive(pid)).toBe(true);
	node.kill("SIGKILL");
	await vi.waitFor(() => expect(isAlive(pid)).resolves.toBe(false), { timeout: 5_000 });
});
