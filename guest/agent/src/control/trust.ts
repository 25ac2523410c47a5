import { readFile } from "node:fs/promises";
import { posix } from "node:path";
import { CA_BUNDLE } from "../../../../src/protocol/index.ts";
import { type GuestFiles, replaceFile } from "./identity.ts";

/** Makes `bundle` (PEM) the certificates that programs trust; left alone when it is the same. */
export async function installTrust(files: GuestFiles, bundle: string): Promise<void> {
	const before = await readFile(posix.join(files.root, CA_BUNDLE), "utf8").catch(() => undefined);
	if (before !== bundle) await replaceFile(files, CA_BUNDLE, bundle, 0o644);
}
