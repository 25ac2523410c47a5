import { join } from "node:path";
import { runLines } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { hostChecks } from "../doctor/table.ts";
import { runningServer } from "../instance/server-file.ts";
import { preparePackages, requireRoot } from "../prepare/index.ts";
import { REPOSITORY } from "../repository.ts";
import { formatDuration, Progress } from "../terminal/progress.ts";
import { paint, showProgress } from "../terminal/show.ts";
import { failures, formatResults } from "./doctor.ts";
import { serverEnvironment } from "./env.ts";
import { upDetached } from "./up.ts";

/** The first program of every user; it is shown in the README and must run as it stands. */
const PROGRAM = "docs/examples/quickstart.mjs";
const EXPECTED = ["42", "41"];

/** From a bare machine to a program whose memory was snapshotted. Every step that is done already takes no time. */
export async function quickstart(config: Config, signal: AbortSignal): Promise<void> {
	requireRoot("quickstart");
	const progress = new Progress(showProgress(process.stderr));
	await preparePackages(progress, signal);
	await requireHealthyHost(config, signal);
	if ((await runningServer(config.dataDir)) === undefined) await upDetached(config, progress, signal);

	const output = await progress.step(`Running ${PROGRAM}`, () => runProgram(config, signal));
	process.stdout.write(`\n${output.join("\n")}\n\n`);
	if (output.join() !== EXPECTED.join()) {
		throw new OffshootError(
			"internal",
			`the program should have printed ${EXPECTED.join(" and ")}. FIX: see ${config.dataDir}/server.log`,
		);
	}
	process.stdout.write(await summary(config, progress));
}

async function requireHealthyHost(config: Config, signal: AbortSignal): Promise<void> {
	// The start itself brings runsc.
	const failed = await failures(
		hostChecks(config).filter(({ id }) => id !== "runsc"),
		signal,
	);
	if (failed.length === 0) return;
	process.stderr.write(formatResults(failed, process.stderr));
	throw new OffshootError(
		"conflict",
		"this machine lacks what is named above. FIX: do what the FIX lines say, then run ./offshoot quickstart again",
	);
}

async function runProgram(config: Config, signal: AbortSignal): Promise<readonly string[]> {
	const lines: string[] = [];
	await runLines(process.execPath, [join(REPOSITORY, PROGRAM)], {
		cwd: REPOSITORY,
		env: { ...process.env, ...(await serverEnvironment(config)) },
		signal,
		onLine: (line) => lines.push(line),
	});
	return lines;
}

async function summary(config: Config, progress: Progress): Promise<string> {
	const { E2B_API_URL } = await serverEnvironment(config);
	const width = Math.max(...progress.finished.map(({ title }) => title.length));
	const times = progress.finished.map(({ title, ms }) => `  ${title.padEnd(width)}  ${formatDuration(ms).padStart(10)}`);
	return [
		paint(
			process.stdout,
			"bold",
			"A running sandbox was snapshotted; the copy counted on from its memory,\nand the source lives on.",
		),
		"",
		"Time of each step:",
		...times,
		"",
		"How to go on:",
		`  cat ${PROGRAM}   the program that just ran`,
		'  eval "$(./offshoot env)"           point any E2B SDK or CLI of this shell here',
		`  ./offshoot status                  the server at ${E2B_API_URL}`,
		"  ./offshoot down                    end it; snapshots stay",
		"",
	].join("\n");
}
