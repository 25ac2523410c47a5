/**
 * Shows progress on a stream: on a terminal one line that moves, elsewhere plain lines, few enough for a log.
 * Colours follow NO_COLOR and FORCE_COLOR.
 */
import { styleText } from "node:util";
import { formatDuration, type ProgressEvent, type ProgressSink } from "./progress.ts";

export interface OutputStream extends NodeJS.WritableStream {
	readonly isTTY?: boolean;
	readonly columns?: number;
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 100;
/** In a log, a step's details appear this often at most. */
const PLAIN_DETAIL_MS = 10_000;
const DEFAULT_COLUMNS = 80;

export function showProgress(stream: OutputStream): ProgressSink {
	return stream.isTTY ? movingLine(stream) : plainLines(stream);
}

type Style = Parameters<typeof styleText>[0];

/** Coloured only where the stream and the environment want colours. */
export function paint(stream: OutputStream, style: Style, text: string): string {
	return styleText(style, text, { stream });
}

function finishedLine(stream: OutputStream, event: ProgressEvent & { kind: "done" | "failed" }): string {
	const mark = event.kind === "done" ? paint(stream, "green", "✓") : paint(stream, "red", "✗");
	return `${mark} ${event.title} ${paint(stream, "dim", `(${formatDuration(event.ms)})`)}\n`;
}

function plainLines(stream: OutputStream): ProgressSink {
	let lastDetail = 0;
	return (event) => {
		switch (event.kind) {
			case "started":
				lastDetail = performance.now();
				stream.write(`… ${event.title}\n`);
				return;
			case "detail":
				if (performance.now() - lastDetail < PLAIN_DETAIL_MS) return;
				lastDetail = performance.now();
				stream.write(`    ${event.text}\n`);
				return;
			case "note":
				stream.write(`${event.text}\n`);
				return;
			default:
				stream.write(finishedLine(stream, event));
		}
	};
}

function movingLine(stream: OutputStream): ProgressSink {
	let title: string | undefined;
	let detail = "";
	let begin = 0;
	let frame = 0;
	let timer: NodeJS.Timeout | undefined;

	const clear = () => stream.write("\r\x1b[2K");
	const draw = () => {
		const mark = FRAMES[frame % FRAMES.length] ?? "";
		const seconds = Math.floor((performance.now() - begin) / 1000);
		const text = ` ${title}${seconds > 1 ? ` ${seconds} s` : ""}${detail === "" ? "" : ` · ${detail}`}`;
		// A line that wraps cannot be taken back.
		const width = (stream.columns ?? DEFAULT_COLUMNS) - 2;
		clear();
		stream.write(`${paint(stream, "cyan", mark)}${text.length > width ? `${text.slice(0, width - 1)}…` : text}`);
		frame += 1;
	};
	const stop = () => {
		clearInterval(timer);
		timer = undefined;
		title = undefined;
		detail = "";
		clear();
	};
	return (event) => {
		switch (event.kind) {
			case "started":
				title = event.title;
				begin = performance.now();
				draw();
				timer ??= setInterval(draw, FRAME_MS).unref();
				return;
			case "detail":
				detail = event.text;
				return;
			case "note":
				if (title !== undefined) clear();
				stream.write(`${event.text}\n`);
				return;
			default:
				stop();
				stream.write(finishedLine(stream, event));
		}
	};
}
