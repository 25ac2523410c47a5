import { readFile } from "node:fs/promises";
import type { Static, TSchema } from "typebox";
import { Value } from "typebox/value";
import { replaceFile } from "../../engine/index.ts";

/** Undefined when there is no such file or it does not hold what the schema says (a crash may have cut it off). */
export async function readJsonFile<T extends TSchema>(path: string, schema: T): Promise<Static<T> | undefined> {
	try {
		const parsed: unknown = JSON.parse(await readFile(path, "utf8"));
		return Value.Check(schema, parsed) ? parsed : undefined;
	} catch {
		return undefined;
	}
}

export async function writeJsonFile(path: string, content: unknown, mode: number): Promise<void> {
	await replaceFile(path, `${JSON.stringify(content, null, "\t")}\n`, mode);
}
