/**
 * The authority that lets the egress proxy answer for other hosts inside TLS, where a policy asks for headers to be put
 * into requests. Every instance has its own; only its own guests trust it. The key stays with the server: the proxy,
 * which handles what strangers send, is given certificates for single names.
 */
import { randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../../host/replace-file.ts";

/** PEM */
export interface CertifiedKey {
	readonly cert: string;
	readonly key: string;
}

export interface EgressAuthority {
	/** PEM; for the guests' trust store. */
	readonly certificate: string;
	/** A certificate for this host name alone, for a few days. */
	issue(name: string): Promise<CertifiedKey>;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 24 * 60 * 60 * 1000;
const AUTHORITY_DAYS = 3650;
/** One that is used longer is made anew. */
const AUTHORITY_REST_DAYS = 365;
const LEAF_DAYS = 7;

/** The authority kept in `directory`, which is made when there is none yet. @throws the reason of `signal` */
export async function openEgressAuthority(directory: string, signal: AbortSignal): Promise<EgressAuthority> {
	const kept = (await readKept(directory, signal)) ?? (await make(directory));
	let leafKeys: Promise<CryptoKeyPair> | undefined;
	return {
		certificate: kept.cert,
		issue: async (name) => {
			leafKeys ??= newKeys();
			return issueLeaf(kept, await leafKeys, name);
		},
	};
}

type CryptoKeyPair = webcrypto.CryptoKeyPair;

/** Loaded when it is needed only: most servers never are asked for a certificate. */
async function library() {
	// The library's dependency injection needs it, loaded before.
	await import("reflect-metadata");
	return import("@peculiar/x509");
}

async function readKept(directory: string, signal: AbortSignal): Promise<CertifiedKey | undefined> {
	try {
		const kept = {
			cert: await readFile(join(directory, "ca.pem"), { encoding: "utf8", signal }),
			key: await readFile(join(directory, "ca.key"), { encoding: "utf8", signal }),
		};
		const { validToDate } = new X509Certificate(kept.cert);
		return validToDate.getTime() > Date.now() + AUTHORITY_REST_DAYS * DAY_MS ? kept : undefined;
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
		throw error;
	}
}

async function make(directory: string): Promise<CertifiedKey> {
	const x509 = await library();
	const keys = await newKeys();
	const certificate = await x509.X509CertificateGenerator.createSelfSigned({
		// Different ones for different keys: programs find an issuer by its name.
		name: `CN=Offshoot egress authority ${randomBytes(6).toString("hex")}`,
		keys,
		signingAlgorithm: ALGORITHM,
		...validFor(AUTHORITY_DAYS),
		extensions: [
			new x509.BasicConstraintsExtension(true, 0, true),
			new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
			await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
		],
	});
	const made = { cert: `${certificate.toString("pem")}\n`, key: await exportKey(keys.privateKey) };
	await mkdir(directory, { recursive: true, mode: 0o700 });
	await replaceFile(join(directory, "ca.key"), made.key, 0o600);
	await replaceFile(join(directory, "ca.pem"), made.cert, 0o644);
	return made;
}

async function issueLeaf(authority: CertifiedKey, keys: CryptoKeyPair, name: string): Promise<CertifiedKey> {
	const x509 = await library();
	const issuer = new x509.X509Certificate(authority.cert);
	const certificate = await x509.X509CertificateGenerator.create({
		// The name itself may be longer than a common name.
		subject: "CN=Offshoot egress",
		issuer: issuer.subject,
		publicKey: keys.publicKey,
		signingKey: await importKey(authority.key),
		signingAlgorithm: ALGORITHM,
		...validFor(LEAF_DAYS),
		extensions: [
			new x509.BasicConstraintsExtension(false, undefined, true),
			new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
			new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
			new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }]),
			await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
			await x509.AuthorityKeyIdentifierExtension.create(issuer),
		],
	});
	return { cert: certificate.toString("pem"), key: await exportKey(keys.privateKey) };
}

/** Clocks of guests may be behind. */
function validFor(days: number): { readonly notBefore: Date; readonly notAfter: Date } {
	const from = Date.now() - DAY_MS;
	return { notBefore: new Date(from), notAfter: new Date(from + days * DAY_MS) };
}

function newKeys(): Promise<CryptoKeyPair> {
	return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
	const { PemConverter } = await library();
	return `${PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
	const { PemConverter } = await library();
	const [key] = PemConverter.decode(pem);
	if (key === undefined) throw new Error("the egress authority's key file holds no key");
	return webcrypto.subtle.importKey("pkcs8", key, ALGORITHM, false, ["sign"]);
}
