/**
 * The tree that becomes /opt/offshoot in every sandbox, made once of the same sources and kept in the cache with its
 * digests: reading its hundred megabytes again at each start would take longer than all the rest of the start.
 *
 *     <cache>/guest/<key>/{tree,guest.json}
 */
import { createHash, type Hash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Static, Type } from "typebox";
import { packageGuest } from "../../guest/agent/package.ts";
import { run } from "../engine/index.ts";
import { digestIngredients, type Ingredients, noteUse, removeUnused } from "../node/index.ts";
import { readJsonFile } from "./instance/json-file.ts";
import { REPOSITORY } from "./repository.ts";

export interface Guest {
	/** Version of the agent in it. */
	readonly version: string;
	readonly ingredients: Ingredients;
}

const Digest = Type.String({ pattern: "^[0-9a-f]{64}$" });
const RecordSchema = Type.Object({ version: Type.String(), nodeDigest: Digest, agentDigest: Digest });

/** Grows when what lies below a key changes its form. */
const LAYOUT = 2;

export async function prepareGuest(cacheDir: string, signal: AbortSignal): Promise<Guest> {
	const parent = join(cacheDir, "guest");
	const dir = join(parent, await guestKey());
	const cached = await readGuest(dir);
	if (cached !== undefined) return cached;
	const staging = `${dir}.tmp-${process.pid}`;
	await mkdir(parent, { recursive: true });
	await rm(staging, { recursive: true, force: true });
	try {
		const agentTree = join(staging, "tree");
		const { version } = await packageGuest({ nodeBinary: process.execPath, outDir: agentTree }, signal);
		const ingredients = await digestIngredients({ nodeBinary: process.execPath, agentTree }, signal);
		const record: Static<typeof RecordSchema> = {
			version,
			nodeDigest: ingredients.nodeDigest,
			agentDigest: ingredients.agentDigest,
		};
		await writeFile(join(staging, "guest.json"), JSON.stringify(record));
		// After a power cut, a record without its whole tree would make bad root filesystems under good ids.
		await run("sync", ["--file-system", staging], { signal });
		await rename(staging, dir).catch((error: NodeJS.ErrnoException) => {
			// Another process may have finished the same tree first: both are equal.
			if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
		});
		await removeUnused(parent);
		return guestIn(dir, record);
	} finally {
		await rm(staging, { recursive: true, force: true });
	}
}

async function readGuest(dir: string): Promise<Guest | undefined> {
	const record = await readJsonFile(join(dir, "guest.json"), RecordSchema);
	if (record === undefined) return undefined;
	await noteUse(dir);
	return guestIn(dir, record);
}

function guestIn(dir: string, { version, nodeDigest, agentDigest }: Static<typeof RecordSchema>): Guest {
	return {
		version,
		ingredients: { nodeBinary: process.execPath, nodeDigest, agentTree: join(dir, "tree"), agentDigest },
	};
}

/** What lies in a checkout's folders and never in a sandbox. */
const NOT_PACKAGED = new Set(["node_modules", "testing", "__pycache__"]);

/** Everything a change of which makes another tree. */
async function guestKey(): Promise<string> {
	const hash = createHash("sha256");
	const { size, mtimeMs } = await stat(process.execPath);
	hash.update(JSON.stringify([LAYOUT, process.version, process.arch, size, mtimeMs]));
	for (const part of ["guest/agent", "guest/interpreter", "src/protocol", "package-lock.json"])
		await hashTree(hash, join(REPOSITORY, part));
	return hash.digest("hex").slice(0, 16);
}

async function hashTree(hash: Hash, path: string): Promise<void> {
	if ((await stat(path)).isFile()) {
		hash.update(path.slice(REPOSITORY.length)).update(await readFile(path));
		return;
	}
	const names = (await readdir(path)).filter((name) => !NOT_PACKAGED.has(name) && !name.endsWith(".test.ts"));
	for (const name of names.sort()) await hashTree(hash, join(path, name));
}
