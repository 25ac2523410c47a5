/** A Python with the packages of the template, made once per list of packages and kept in the user's cache. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

const REQUIREMENTS = fileURLToPath(new URL("../../requirements.txt", import.meta.url));
const WAIT_MS = 300_000;

/** Path of the interpreter; installs the packages on first use, which takes about a minute. */
export async function testPython(): Promise<string> {
	const base = await findPython();
	const requirements = await readFile(REQUIREMENTS, "utf8");
	const key = createHash("sha256").update(`${base.version}\n${requirements}`).digest("hex").slice(0, 16);
	const directory = join(homedir(), ".cache/offshoot/test-python", key);
	const python = join(directory, "bin/python");
	if (existsSync(python)) return python;
	await withLock(`${directory}.lock`, async () => {
		if (!existsSync(python)) await build(base.path, directory, requirements);
	});
	return python;
}

/** The template's version if there is one (pyenv keeps its own off the PATH), else what the machine has. */
async function findPython(): Promise<{ path: string; version: string }> {
	const candidates = [
		process.env.OFFSHOOT_TEST_PYTHON,
		"python3.13",
		...globSync(join(homedir(), ".pyenv/versions/3.13*/bin/python3")),
		"python3",
	];
	for (const path of candidates) {
		if (path === undefined) continue;
		const found = await run(path, ["--version"]).catch(() => undefined);
		if (found) return { path, version: found.stdout.trim() };
	}
	throw new Error("no python3 on PATH: install Python 3.13 or name one in OFFSHOOT_TEST_PYTHON");
}

async function build(base: string, directory: string, requirements: string): Promise<void> {
	// Only its last name makes the directory valid, so that an interrupted build is not taken for a whole one.
	const unfinished = `${directory}.unfinished`;
	await rm(unfinished, { recursive: true, force: true });
	await run(base, ["-m", "venv", unfinished]);
	const python = join(unfinished, "bin/python");
	const pip = (...args: string[]) => run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...args]);
	// The pins are for the template's Python; another version gets what fits it.
	const names = requirements.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
	await pip("-r", REQUIREMENTS).catch(() => pip(...names.map((line) => line.replace(/==.*/, ""))));
	await rename(unfinished, directory);
}

/** Test files run in parallel, and only one may build. A lock whose owner is gone is taken over. */
async function withLock(path: string, action: () => Promise<void>): Promise<void> {
	await mkdir(dirname(path), { recursive: true });
	const end = Date.now() + WAIT_MS;
	while (!(await takeLock(path))) {
		if (Date.now() > end) throw new Error(`${path} is held for too long; remove it if no test is running`);
		await sleep(250);
	}
	try {
		await action();
	} finally {
		await rm(path, { force: true });
	}
}

async function takeLock(path: string): Promise<boolean> {
	try {
		await writeFile(path, String(process.pid), { flag: "wx" });
		return true;
	} catch {
		const owner = Number(await readFile(path, "utf8").catch(() => ""));
		if (owner > 0 && !existsSync(`/proc/${owner}`)) await rm(path, { force: true });
		return false;
	}
}
