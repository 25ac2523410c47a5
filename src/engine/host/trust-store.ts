/** The authorities that this host trusts. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { CA_BUNDLE } from "../../protocol/index.ts";

/** Where the families of Debian, Red Hat and SUSE keep them. */
const BUNDLES = [CA_BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/** Path of the bundle; undefined on a host without one. */
export function findTrustStore(): string | undefined {
	return BUNDLES.find((path) => existsSync(path));
}

/** PEM of all of them; undefined on a host without such a file. @throws the reason of `signal` */
export async function readTrustStore(signal: AbortSignal): Promise<string | undefined> {
	const path = findTrustStore();
	return path === undefined ? undefined : readFile(path, { encoding: "utf8", signal });
}
