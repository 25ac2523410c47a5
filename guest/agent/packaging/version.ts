/** The version of a packaged tree: that of the package and a digest of every file in it. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { OffshootError } from "../../../src/protocol/index.ts";

export async function treeVersion(directory: string, signal: AbortSignal): Promise<string> {
	const hash = createHash("sha256");
	const entries = await readdir(directory, { recursive: true, withFileTypes: true });
	const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
	for (const file of files.sort()) {
		const { mode, size } = await stat(file);
		hash.update(`${file.slice(directory.length)} ${mode & 0o777} ${size}\n`);
		for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal })) hash.update(chunk);
	}
	return `${await packageVersion()}+${hash.digest("hex").slice(0, 12)}`;
}

async function packageVersion(): Promise<string> {
	const json: unknown = JSON.parse(await readFile(join(import.meta.dirname, "../package.json"), "utf8"));
	if (typeof json === "object" && json !== null && "version" in json && typeof json.version === "string") return json.version;
	throw new OffshootError("internal", "guest/agent/package.json has no version");
}
