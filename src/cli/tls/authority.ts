/**
 * An own certificate authority, for a domain that no public one vouches for. It is bound to that domain (RFC 5280
 * §4.2.1.10): whoever steals its key can pretend to be a sandbox of it, and nothing else on the internet.
 */
// The library's dependency injection needs it, loaded before.
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { GeneralName, GeneralSubtree, GeneralSubtrees, id_ce_nameConstraints, NameConstraints } from "@peculiar/asn1-x509";
import {
	AuthorityKeyIdentifierExtension,
	BasicConstraintsExtension,
	ExtendedKeyUsage,
	ExtendedKeyUsageExtension,
	Extension,
	KeyUsageFlags,
	KeyUsagesExtension,
	PemConverter,
	SubjectAlternativeNameExtension,
	SubjectKeyIdentifierExtension,
	X509Certificate,
	X509CertificateGenerator,
} from "@peculiar/x509";

/** PEM */
export interface CertifiedKey {
	readonly cert: string;
	readonly key: string;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks of clients may be behind. */
const BACKDATE_MS = DAY_MS;
const AUTHORITY_DAYS = 3650;
/** Browsers of Apple refuse more than 825 days, also from own authorities. */
const SERVER_DAYS = 800;

/** Makes an authority for `domain` and every name below it. */
export async function makeAuthority(domain: string): Promise<CertifiedKey> {
	const keys = await newKeys();
	const permitted = new GeneralSubtrees([new GeneralSubtree({ base: new GeneralName({ dNSName: domain }) })]);
	const cert = await X509CertificateGenerator.createSelfSigned({
		name: authorityName(domain),
		keys,
		signingAlgorithm: ALGORITHM,
		...validFor(AUTHORITY_DAYS),
		extensions: [
			new BasicConstraintsExtension(true, 0, true),
			new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
			new Extension(id_ce_nameConstraints, true, AsnConvert.serialize(new NameConstraints({ permittedSubtrees: permitted }))),
			await SubjectKeyIdentifierExtension.create(keys.publicKey),
		],
	});
	return { cert: cert.toString("pem"), key: await exportKey(keys.privateKey) };
}

/** True when the authority was made for this domain. */
export function vouchesFor({ cert }: Pick<CertifiedKey, "cert">, domain: string): boolean {
	const authority = new X509Certificate(cert);
	return authority.subject === authorityName(domain) && authority.notAfter.getTime() > Date.now() + SERVER_DAYS * DAY_MS;
}

/** A server's certificate for `domain` and the names one label below it. */
export async function issueCertificate(authority: CertifiedKey, domain: string): Promise<CertifiedKey> {
	const issuer = new X509Certificate(authority.cert);
	const keys = await newKeys();
	const cert = await X509CertificateGenerator.create({
		subject: `CN=${domain}`,
		issuer: issuer.subject,
		publicKey: keys.publicKey,
		signingKey: await importKey(authority.key),
		signingAlgorithm: ALGORITHM,
		...validFor(SERVER_DAYS),
		extensions: [
			new BasicConstraintsExtension(false, undefined, true),
			new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
			new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
			new SubjectAlternativeNameExtension([
				{ type: "dns", value: domain },
				{ type: "dns", value: `*.${domain}` },
			]),
			await SubjectKeyIdentifierExtension.create(keys.publicKey),
			await AuthorityKeyIdentifierExtension.create(issuer),
		],
	});
	return { cert: cert.toString("pem"), key: await exportKey(keys.privateKey) };
}

function authorityName(domain: string): string {
	return `CN=Offshoot authority for ${domain}`;
}

function validFor(days: number): { readonly notBefore: Date; readonly notAfter: Date } {
	const now = Date.now();
	return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now - BACKDATE_MS + days * DAY_MS) };
}

function newKeys() {
	return webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
	return `${PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

function importKey(pem: string) {
	const [key] = PemConverter.decode(pem);
	if (key === undefined) throw new Error("the authority's key file holds no key");
	return webcrypto.subtle.importKey("pkcs8", key, ALGORITHM, false, ["sign"]);
}
