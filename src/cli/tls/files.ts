/** The certificate that `offshoot cert` makes, and where it is: `tls/` in the data directory. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../../engine/index.ts";
import { OffshootError } from "../../protocol/index.ts";
import { type CertifiedKey, issueCertificate, makeAuthority, vouchesFor } from "./authority.ts";

export interface TlsFiles {
	/** The authority's certificate: what clients are to trust. */
	readonly authority: string;
	readonly authorityKey: string;
	readonly cert: string;
	readonly key: string;
}

export function tlsFiles(dataDir: string): TlsFiles {
	const dir = join(dataDir, "tls");
	return {
		authority: join(dir, "ca.pem"),
		authorityKey: join(dir, "ca.key"),
		cert: join(dir, "cert.pem"),
		key: join(dir, "key.pem"),
	};
}

/**
 * Makes a certificate for `domain` in the place of the one before. An authority made for the same domain is used again,
 * so that clients go on trusting it.
 */
export async function renewCertificate(dataDir: string, domain: string): Promise<TlsFiles> {
	const files = tlsFiles(dataDir);
	await mkdir(join(dataDir, "tls"), { recursive: true, mode: 0o755 }).catch((error: NodeJS.ErrnoException) => {
		if (error.code !== "EACCES") throw error;
		throw new OffshootError("forbidden", `${dataDir} belongs to root. FIX: sudo ./offshoot cert`);
	});
	const authority = (await existingAuthority(files, domain)) ?? (await newAuthority(files, domain));
	const { cert, key } = await issueCertificate(authority, domain);
	await replaceFile(files.key, key, 0o600);
	await replaceFile(files.cert, cert, 0o644);
	return files;
}

async function existingAuthority(files: TlsFiles, domain: string): Promise<CertifiedKey | undefined> {
	try {
		const authority = { cert: await readFile(files.authority, "utf8"), key: await readFile(files.authorityKey, "utf8") };
		return vouchesFor(authority, domain) ? authority : undefined;
	} catch {
		return undefined;
	}
}

async function newAuthority(files: TlsFiles, domain: string): Promise<CertifiedKey> {
	const authority = await makeAuthority(domain);
	await replaceFile(files.authorityKey, authority.key, 0o600);
	await replaceFile(files.authority, authority.cert, 0o644);
	return authority;
}
