// biome-ignore-all lint/suspicious/noControlCharactersInRegex: signatures of files are made of them.
/**
 * The type of a file by what it holds, for names that tell none. Source: https://mimesniff.spec.whatwg.org/, in the form of
 * Go's `http.DetectContentType`, which clients of E2B know.
 */

/** bytes that count */
export const SNIFFED_BYTES = 512;

const HTML = /^[\t\n\f\r ]*<(?:!DOCTYPE HTML|HTML|HEAD|SCRIPT|IFRAME|H1|DIV|FONT|TABLE|A|STYLE|TITLE|B|BODY|BR|P|!--)[ >]/i;

/** In this order; each on the bytes as Latin-1. */
const SIGNATURES: readonly (readonly [pattern: RegExp, type: string])[] = [
	[HTML, "text/html; charset=utf-8"],
	[/^[\t\n\f\r ]*<\?xml/, "text/xml; charset=utf-8"],
	[/^%PDF-/, "application/pdf"],
	[/^%!PS-Adobe-/, "application/postscript"],
	[/^\xfe\xff../s, "text/plain; charset=utf-16be"],
	[/^\xff\xfe../s, "text/plain; charset=utf-16le"],
	[/^\xef\xbb\xbf./s, "text/plain; charset=utf-8"],
	[/^\0\0[\x01\x02]\0/, "image/x-icon"],
	[/^BM/, "image/bmp"],
	[/^GIF8[79]a/, "image/gif"],
	[/^RIFF.{4}WEBPVP/s, "image/webp"],
	[/^\x89PNG\r\n\x1a\n/, "image/png"],
	[/^\xff\xd8\xff/, "image/jpeg"],
	[/^FORM.{4}AIFF/s, "audio/aiff"],
	[/^ID3/, "audio/mpeg"],
	[/^OggS\0/, "application/ogg"],
	[/^MThd\0\0\0\x06/, "audio/midi"],
	[/^RIFF.{4}AVI /s, "video/avi"],
	[/^RIFF.{4}WAVE/s, "audio/wave"],
	// The brand of an ISO media file, or one of those that it is compatible with; between them stands a version.
	[/^.{4}ftyp(?:mp4|.{8}(?:.{4})*?mp4)/s, "video/mp4"],
	[/^\x1aE\xdf\xa3/, "video/webm"],
	[/^.{34}LP/s, "application/vnd.ms-fontobject"],
	[/^\0\x01\0\0/, "font/ttf"],
	[/^OTTO/, "font/otf"],
	[/^ttcf/, "font/collection"],
	[/^wOFF/, "font/woff"],
	[/^wOF2/, "font/woff2"],
	[/^\x1f\x8b\x08/, "application/x-gzip"],
	[/^PK\x03\x04/, "application/zip"],
	[/^Rar!\x1a\x07(?:\0|\x01\0)/, "application/x-rar-compressed"],
	[/^\0asm/, "application/wasm"],
	[/^[^\0-\x08\v\x0e-\x1a\x1c-\x1f]*$/, "text/plain; charset=utf-8"],
];

/** @param start the file's first bytes, at most SNIFFED_BYTES */
export function sniffType(start: Buffer): string {
	const bytes = start.toString("latin1");
	return SIGNATURES.find(([pattern]) => pattern.test(bytes))?.[1] ?? "application/octet-stream";
}
