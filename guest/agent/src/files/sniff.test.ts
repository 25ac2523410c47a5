import { expect, test } from "vitest";
import { sniffType } from "./sniff.ts";

test.each([
	["", "text/plain; charset=utf-8"],
	["plain text\n\t\x1b[1m", "text/plain; charset=utf-8"],
	["a\0b", "application/octet-stream"],
	["\n <!DOCTYPE html>", "text/html; charset=utf-8"],
	["<b>", "text/html; charset=utf-8"],
	["<bogus>", "text/plain; charset=utf-8"],
	["<b", "text/plain; charset=utf-8"],
	[" <?xml version", "text/xml; charset=utf-8"],
	["%PDF-1.7", "application/pdf"],
	["\xff\xfea\0", "text/plain; charset=utf-16le"],
	["\xef\xbb\xbfx", "text/plain; charset=utf-8"],
	["GIF89a\0", "image/gif"],
	["RIFF....WEBPVP8 \0", "image/webp"],
	["RIFF....WAVEfmt \0", "audio/wave"],
	["\xff\xd8\xff\xe0", "image/jpeg"],
	["\0\0\0\x18ftypmp42\0\0\0\0", "video/mp4"],
	["\0\0\0\x18ftypisom\0\0\0\0isommp41", "video/mp4"],
	["\0\0\0\x18ftypisom\0mp4isomavc1", "application/octet-stream"],
	["\x1f\x8b\x08\0", "application/x-gzip"],
	["PK\x03\x04", "application/zip"],
	["Rar!\x1a\x07\0", "application/x-rar-compressed"],
	["\0asm\x01", "application/wasm"],
	["\0\x01\0\0\0", "font/ttf"],
	["\x7fELF\x02", "application/octet-stream"],
])("%j is %s", (start, type) => {
	expect(sniffType(Buffer.from(start, "latin1"))).toBe(type);
});
