import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { prepareTestPython } from "../prepare/test-python.ts";
import { Progress } from "../terminal/progress.ts";
import { showProgress } from "../terminal/show.ts";
import { fix } from "./doctor.ts";
import { add, closingLine, one, type Tally, tallyVitest } from "./test-report.ts";
import { runTool } from "./tool.ts";

export interface TestOptions {
	/** Also the campaigns that take minutes to hours. */
	readonly long: boolean;
	/** Files to run instead of all, as vitest filters them; lint and types are left out then. */
	readonly files: readonly string[];
}

/** Projects of vitest.config.ts, the quickest first. */
export const PROJECTS = ["unit", "network", "engine"];
/** The one that tests with the Python clients. */
const CLIENT_PROJECT = "engine";

/** Everything that must hold before a change lands. Its last line is `N passed, N failed`. */
export async function test(config: Config, options: TestOptions, signal: AbortSignal): Promise<number> {
	const progress = new Progress(showProgress(process.stderr));
	await fix(config, progress, signal);
	const python = await prepareTestPython(config, progress, signal);

	let tally: Tally = { passed: 0, failed: 0 };
	if (options.files.length === 0) {
		tally = add(tally, await check("lint", "biome", ["check", "."], signal));
		tally = add(tally, await check("types", "tsc", ["--noEmit"], signal));
	}
	// One process each, since together they would compete for the processors that engine tests measure.
	for (const project of PROJECTS) tally = add(tally, await vitest(project, options, python, signal));
	process.stdout.write(closingLine(tally));
	return tally.failed === 0 && tally.passed > 0 ? 0 : 1;
}

async function check(what: string, tool: string, args: readonly string[], signal: AbortSignal): Promise<Tally> {
	process.stdout.write(`\n── ${what}\n`);
	return one((await runTool(tool, args, { signal })) === 0);
}

async function vitest(project: string, options: TestOptions, python: string, signal: AbortSignal): Promise<Tally> {
	process.stdout.write(`\n── ${project} tests\n`);
	const scratch = await mkdtemp(join(tmpdir(), "offshoot-test-"));
	const report = join(scratch, "report.json");
	const clients = project === CLIENT_PROJECT ? { OFFSHOOT_TEST_PYTHON: python } : {};
	const env = { ...clients, ...(options.long ? { OFFSHOOT_TEST_LONG: "1" } : {}) };
	try {
		const args = [
			"run",
			"--project",
			project,
			"--passWithNoTests",
			"--reporter=default",
			"--reporter=json",
			`--outputFile.json=${report}`,
		];
		const exitCode = await runTool("vitest", [...args, ...options.files], { signal, env });
		return tallyVitest(await readFile(report, "utf8").catch(() => undefined), exitCode);
	} finally {
		await rm(scratch, { recursive: true, force: true });
	}
}
