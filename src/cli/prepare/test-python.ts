/** The Python clients of the tests: PyPI's newest, in an environment of their own in the cache directory. */
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CommandError, FileLock, run, runLines } from "../../engine/index.ts";
import type { Config } from "../config.ts";
import type { Progress } from "../terminal/progress.ts";

const CLIENTS = ["e2b", "e2b-code-interpreter"];
const DAY_MS = 24 * 60 * 60 * 1000;

/** Path of a Python that can import them. They are looked up once a day; without a network the ones there are used. */
export async function prepareTestPython(config: Config, progress: Progress, signal: AbortSignal): Promise<string> {
	const venv = join(config.cacheDir, "test-python");
	const python = join(venv, "bin/python");
	const stamp = join(venv, "clients-installed");
	await mkdir(config.cacheDir, { recursive: true });
	using _lock = await FileLock.acquire(
		`${venv}.lock`,
		() => progress.note("waiting for another test run's Python set-up"),
		signal,
	);
	if (await isFresh(stamp)) return python;
	await progress.step("Python clients for the tests", async (onLine) => {
		if (!(await works(python, signal))) {
			// A half-made environment, or one whose Python was upgraded away.
			await rm(venv, { recursive: true, force: true });
			await runLines("python3", ["-m", "venv", venv], { signal, onLine });
		}
		const pip = ["-m", "pip", "install", "--upgrade", "--disable-pip-version-check", "--progress-bar=off", ...CLIENTS];
		try {
			await runLines(python, pip, { signal, onLine });
			await writeFile(stamp, "");
		} catch (error) {
			if (!(error instanceof CommandError) || !(await exists(stamp))) throw error;
			progress.note("the Python clients could not be updated: testing with the installed ones");
		}
	});
	return python;
}

async function works(python: string, signal: AbortSignal): Promise<boolean> {
	return run(python, ["-c", "import pip"], { signal }).then(
		() => true,
		() => false,
	);
}

async function isFresh(stamp: string): Promise<boolean> {
	return stat(stamp).then(
		({ mtimeMs }) => Date.now() - mtimeMs < DAY_MS,
		() => false,
	);
}

async function exists(path: string): Promise<boolean> {
	return stat(path).then(
		() => true,
		() => false,
	);
}
