import type { Config } from "../config.ts";
import { type Check, examine, type Result } from "../doctor/check.ts";
import { hostChecks } from "../doctor/table.ts";
import { preparePackages, prepareRunsc, requireRoot } from "../prepare/index.ts";
import { Progress } from "../terminal/progress.ts";
import { type OutputStream, paint, showProgress } from "../terminal/show.ts";
import { wrap } from "../terminal/wrap.ts";

export interface DoctorOptions {
	readonly fix: boolean;
	readonly json: boolean;
}

/** Exit code 1 when a check fails; warnings do not count. */
export async function doctor(config: Config, options: DoctorOptions, signal: AbortSignal): Promise<number> {
	if (options.fix) await fix(config, new Progress(showProgress(process.stderr)), signal);
	const results = await examine(hostChecks(config), signal);
	process.stdout.write(options.json ? formatJson(results) : formatResults(results, process.stdout));
	return results.some(({ finding }) => finding.status === "fail") ? 1 : 0;
}

/** What can be repaired without asking: packages and runsc. Everything else is the operator's to decide. */
export async function fix(config: Config, progress: Progress, signal: AbortSignal): Promise<void> {
	requireRoot("doctor --fix");
	await preparePackages(progress, signal);
	await prepareRunsc(config, progress, signal);
}

/** Results of those checks that fail, for commands that cannot go on with one. */
export async function failures(checks: readonly Check[], signal: AbortSignal): Promise<readonly Result[]> {
	const results = await examine(checks, signal);
	return results.filter(({ finding }) => finding.status === "fail");
}

function formatJson(results: readonly Result[]): string {
	const checks = results.map(({ id, title, finding }) => ({ id, title, ...finding }));
	return `${JSON.stringify({ ok: checks.every(({ status }) => status !== "fail"), checks }, null, 2)}\n`;
}

const STATUS_WIDTH = 4;

export function formatResults(results: readonly Result[], stream: OutputStream): string {
	const width = Math.max(...results.map(({ title }) => title.length));
	const indent = STATUS_WIDTH + 2 + width + 2;
	const lines = results.flatMap(({ title, finding }) => {
		const colour = { ok: "green", warn: "yellow", fail: "red" } as const;
		const status = paint(stream, colour[finding.status], finding.status.padEnd(STATUS_WIDTH));
		const line = `${status}  ${title.padEnd(width)}  ${wrap(stream, finding.reason, indent)}`;
		return finding.status === "ok" ? [line] : [line, `${" ".repeat(indent)}${wrap(stream, `FIX: ${finding.fix}`, indent)}`];
	});
	const count = (status: string) => results.filter(({ finding }) => finding.status === status).length;
	return `${[...lines, "", `${count("ok")} ok, ${count("warn")} warnings, ${count("fail")} failed`].join("\n")}\n`;
}
