import { readFile } from "node:fs/promises";
import { posix } from "node:path";
import { type GuestFiles, replaceFile } from "./identity.ts";

const BUNDLE = "/etc/ssl/certs/ca-certificates.crt";

/** Makes `bundle` (PEM) the certificates that programs trust; left alone when it is the same. */
export async function installTrust(files: GuestFiles, bundle: string): Promise<void> {
	const before = await readFile(posix.join(files.root, BUNDLE), "utf8").catch(() => undefined);
	if (before !== bundle) await replaceFile(files, BUNDLE, bundle, 0o644);
}
