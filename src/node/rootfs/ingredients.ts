/** What goes into every root filesystem besides its template, with the digests that are part of every id. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { OffshootError } from "../../protocol/index.ts";
import { treeDigest } from "./digest.ts";

export interface Ingredients {
	/** Node for programs of the sandbox. */
	readonly nodeBinary: string;
	/** Hex SHA-256 of it. */
	readonly nodeDigest: string;
	/** Directory that becomes /opt/offshoot. */
	readonly agentTree: string;
	/** treeDigest of it. */
	readonly agentDigest: string;
}

/** Reads both, which takes about a second. @throws OffshootError invalid_request naming what cannot be read */
export async function digestIngredients(
	{ nodeBinary, agentTree }: Pick<Ingredients, "nodeBinary" | "agentTree">,
	signal: AbortSignal,
): Promise<Ingredients> {
	const nodeDigest = await fileDigest(nodeBinary, signal).catch(unreadable("nodeBinary", nodeBinary));
	const agentDigest = await treeDigest(agentTree, signal).catch(unreadable("agentTree", agentTree));
	return { nodeBinary, nodeDigest, agentTree, agentDigest };
}

/** An option that names a file nobody can read is the caller's to correct; anything else passes unchanged. */
function unreadable(option: string, path: string): (error: unknown) => never {
	return (error) => {
		const code = error instanceof Error && "code" in error ? error.code : undefined;
		if (code !== "ENOENT" && code !== "EACCES" && code !== "EISDIR") throw error;
		throw new OffshootError("invalid_request", `${option}: ${path} cannot be read (${code})`, { cause: error });
	};
}

async function fileDigest(path: string, signal: AbortSignal): Promise<string> {
	const hash = createHash("sha256");
	await pipeline(createReadStream(path), hash, { signal });
	return hash.digest("hex");
}
