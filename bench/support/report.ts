import { cpus, release, totalmem } from "node:os";
import type { Summary } from "./stats.ts";

export interface Report {
	readonly bench: string;
	/** What was done, in one sentence. */
	readonly what: string;
	readonly unit: string;
	readonly rows: Readonly<Record<string, Summary>>;
	/** Derived figures, such as the difference to the baseline. */
	readonly notes?: Readonly<Record<string, number | string>>;
}

/** Prints a report as a table, or as JSON when the program was called with --json. */
export function printReport(report: Report): void {
	const machine = { cpus: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30), kernel: release() };
	if (process.argv.includes("--json")) {
		console.log(JSON.stringify({ ...report, machine }));
		return;
	}
	console.log(`${report.bench}: ${report.what}`);
	console.log(`${machine.cpus} cpus, ${machine.memoryGiB} GiB, Linux ${machine.kernel}; ${report.unit}\n`);
	const width = Math.max(...Object.keys(report.rows).map((name) => name.length));
	console.log(`${"".padEnd(width)}  ${["n", "p50", "p90", "max"].map((head) => head.padStart(9)).join("")}`);
	for (const [name, row] of Object.entries(report.rows)) {
		const figures = [String(row.n), row.p50.toFixed(1), row.p90.toFixed(1), row.max.toFixed(1)];
		console.log(`${name.padEnd(width)}  ${figures.map((figure) => figure.padStart(9)).join("")}`);
	}
	for (const [name, value] of Object.entries(report.notes ?? {})) {
		console.log(`\n${name}: ${typeof value === "number" ? value.toFixed(1) : value}`);
	}
}
