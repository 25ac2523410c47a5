import type { OutputStream } from "./show.ts";

/** One line per row; on a terminal too narrow for that, one line per cell. */
export function formatTable(stream: OutputStream, head: readonly string[], rows: readonly (readonly string[])[]): string {
	const lines = [head, ...rows];
	const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
	const text = lines.map((line) => `${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd());
	if (stream.columns === undefined || Math.max(...text.map((line) => line.length)) <= stream.columns) {
		return `${text.join("\n")}\n`;
	}
	const titles = Math.max(...head.map((title) => title.length));
	return rows
		.map((row) => `${row.map((cell, column) => `${(head[column] ?? "").padEnd(titles)}  ${cell}`).join("\n")}\n`)
		.join("\n");
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** In decimal units, as disks are sold. */
export function formatBytes(bytes: number): string {
	let value = bytes;
	let unit = 0;
	while (value >= 999.5 && unit < UNITS.length - 1) {
		value /= 1000;
		unit += 1;
	}
	return `${value < 9.95 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}
