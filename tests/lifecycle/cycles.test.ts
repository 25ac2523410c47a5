import { createHash, randomBytes } from "node:crypto";
import type { Sandbox } from "e2b";
import { expect, inject, test } from "vitest";
import { pauseImage } from "../support/artifacts.ts";
import { newSandbox } from "../support/sandboxes.ts";

const CYCLES = 22;
const MB = 1024 * 1024;

interface Cycle {
	readonly pauseMs: number;
	readonly resumeMs: number;
	readonly imageMB: number;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
	const started = performance.now();
	await work();
	return performance.now() - started;
}

async function cycle(sandbox: Sandbox, keepMemory: boolean): Promise<Cycle> {
	const pauseMs = await timed(() => sandbox.pause({ keepMemory }));
	const imageMB = (await imageBytes(sandbox.sandboxId)) / MB;
	return { pauseMs, imageMB, resumeMs: await timed(() => sandbox.connect()) };
}

/** Bytes of the image of the paused sandbox. */
async function imageBytes(sandboxId: string): Promise<number> {
	const manifest = await pauseImage(inject("server").dataDir, sandboxId);
	return manifest.files.reduce((sum, { size }) => sum + size, 0);
}

function report(what: string, cycles: readonly Cycle[]): void {
	const row = ({ pauseMs, resumeMs, imageMB }: Cycle) =>
		`${imageMB.toFixed(1)} MB, ${pauseMs.toFixed(0)} + ${resumeMs.toFixed(0)} ms`;
	const shown = [0, 1, Math.floor(cycles.length / 2), cycles.length - 1].flatMap((index) => cycles[index] ?? []);
	process.stdout.write(`${what}, image and time to pause + to resume: ${shown.map(row).join(" | ")}\n`);
}

const digestOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("many pauses with memory keep files and pids, and the image does not grow", async () => {
	const sandbox = await newSandbox();
	const content = randomBytes(3 * MB);
	await sandbox.files.write("/home/user/data", new Blob([content]));
	const sleeper = await sandbox.commands.run("sleep 3600", { background: true, timeoutMs: 0 });
	const cycles: Cycle[] = [];
	for (let round = 0; round < CYCLES; round++) {
		cycles.push(await cycle(sandbox, true));
		expect((await sandbox.commands.list()).map(({ pid }) => pid)).toContain(sleeper.pid);
	}
	expect(digestOf(await sandbox.files.read("/home/user/data", { format: "bytes" }))).toBe(digestOf(content));
	report("with memory", cycles);
	// The guest's own heap settles in the first rounds.
	const settled = cycles[4]?.imageMB ?? 0;
	expect(cycles.at(-1)?.imageMB).toBeLessThan(settled * 1.15 + 2);
});

test("pauses with and without memory in turn keep files, and the image does not grow", async () => {
	const sandbox = await newSandbox();
	const content = randomBytes(3 * MB);
	await sandbox.files.write("/home/user/data", new Blob([content]));
	const full: Cycle[] = [];
	const files: Cycle[] = [];
	for (let round = 0; round < CYCLES / 2; round++) {
		full.push(await cycle(sandbox, true));
		files.push(await cycle(sandbox, false));
		await sandbox.files.write(`/home/user/round-${round}`, `round ${round}`);
	}
	expect(digestOf(await sandbox.files.read("/home/user/data", { format: "bytes" }))).toBe(digestOf(content));
	for (let round = 0; round < CYCLES / 2; round++) {
		expect(await sandbox.files.read(`/home/user/round-${round}`)).toBe(`round ${round}`);
	}
	report("in turn, with memory", full);
	report("in turn, without memory", files);
	expect(files.at(-1)?.imageMB).toBeLessThan((files[2]?.imageMB ?? 0) + 1);
	expect(full.at(-1)?.imageMB).toBeLessThan((full[2]?.imageMB ?? 0) * 1.15 + 2);
});
