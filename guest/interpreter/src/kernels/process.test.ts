import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SlowFile } from "../testing/slow-file.ts";

let directory: string;
let programs: SlowFile;
let options: { readonly cwd: string; readonly environment: { readonly PATH: string }; readonly signal: AbortSignal };

beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "offshoot-kernel-"));
	programs = await SlowFile.make(join(directory, "cgroup.procs"));
	options = { cwd: directory, environment: { PATH: process.env.PATH ?? "" }, signal: AbortSignal.timeout(30_000) };
	// The interpreter's own settings are read when its modules are loaded.
	vi.stubEnv("OFFSHOOT_PROGRAMS", programs.path);
	vi.resetModules();
});

afterEach(async () => {
	vi.unstubAllEnvs();
	await programs.close();
	await rm(directory, { recursive: true });
});

/** A command that tells its process id before it runs `script`. */
const telling = (script: string): string[] => ["sh", "-c", `echo $$ >pid.draft; mv pid.draft pid; ${script}`];

/** Resolves when the process of `telling` is gone; then its group is counted without it. */
async function endThenCount(): Promise<void> {
	await expect.poll(() => existsSync(join(directory, "pid"))).toBe(true);
	const pid = (await readFile(join(directory, "pid"), "utf8")).trim();
	await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
	await programs.release();
}

test("a process that ends before it is counted has ended for whoever waits for it", async () => {
	const { KernelProcess } = await import("./process.ts");
	const starting = KernelProcess.start({ ...options, command: telling("exit 3"), stdio: "ignore" });
	await endThenCount();
	const kernelProcess = await starting;
	expect(await kernelProcess.ended).toEqual({ exitCode: 3 });
	await kernelProcess.kill();
});

test("a kernel that ends before it is counted is refused in its own words", async () => {
	const { JupyterKernel } = await import("./jupyter/kernel.ts");
	const language = {
		command: () => telling("echo no module named ipykernel >&2; exit 1"),
		environment: {},
		environmentCode: () => "",
		seeding: "request",
		endsItself: false,
	} as const;
	const launching = JupyterKernel.launch(language, directory, options);
	const refused = expect(launching).rejects.toThrow("the kernel ended while it was starting: no module named ipykernel");
	await endThenCount();
	await refused;
});

test("a kernel takes no code before it is counted", async () => {
	const { launchReportingKernel, ReportingKernel } = await import("./reporting.ts");
	class TestKernel extends ReportingKernel {
		protected override lineOf(): string {
			return "";
		}
	}
	const made = Promise.withResolvers<InstanceType<typeof TestKernel>>();
	let launched = false;
	const launching = launchReportingKernel(
		["sh", "-c", `echo '{"type":"ready"}' >&4; exec sleep 60`],
		options,
		(kernelProcess) => {
			const kernel = new TestKernel(kernelProcess, "test");
			made.resolve(kernel);
			return kernel;
		},
	).finally(() => {
		launched = true;
	});
	await (await made.promise).ready;
	await nextTurn();
	expect(launched).toBe(false);
	await programs.release();
	await (await launching).stop();
});
