import type { OutputStream } from "./show.ts";

/** Breaks a text that begins `indent` columns from the left between words, where a terminal would break it anywhere. */
export function wrap(stream: OutputStream, text: string, indent: number): string {
	const width = (stream.columns ?? Number.POSITIVE_INFINITY) - indent;
	const lines: string[] = [];
	for (const word of text.split(" ")) {
		const last = lines.at(-1);
		if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
		else lines[lines.length - 1] = `${last} ${word}`;
	}
	return lines.join(`\n${" ".repeat(indent)}`);
}
