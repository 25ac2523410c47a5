/** Finds and checks the certificate a server is to use, before it starts: a wrong one would only show at its clients. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { OffshootError } from "../../protocol/index.ts";
import type { Config } from "../config.ts";
import { tlsFiles } from "./files.ts";

export interface LoadedTls {
	readonly port: number;
	/** PEM */
	readonly cert: string;
	readonly key: string;
	/** `host[:port]` under which clients reach this listener. */
	readonly domain: string;
	/** File that clients must trust; undefined for a certificate that the operator brought. */
	readonly authority: string | undefined;
}

/**
 * Undefined when no encrypted listener is wanted.
 * @throws the reason of `signal`; OffshootError invalid_request when the certificate is missing, expired, without its key, or for another domain
 */
export async function loadTls(config: Config, signal: AbortSignal): Promise<LoadedTls | undefined> {
	if (config.tls === undefined) return undefined;
	const { port } = config.tls;
	const own = tlsFiles(config.dataDir);
	const files = config.tls.files ?? own;
	const cert = await readText(files.cert, signal);
	const key = await readText(files.key, signal);
	const certificate = parse(files.cert, () => new X509Certificate(cert));
	const privateKey = parse(files.key, () => createPrivateKey(key));

	if (!certificate.checkPrivateKey(privateKey)) throw refusal(`${files.key} is not the key of ${files.cert}`);
	if (certificate.validToDate.getTime() <= Date.now()) throw refusal(`${files.cert} has expired on ${certificate.validTo}`);
	const domain = config.domain ?? withPort(wildcardOf(files.cert, certificate), port);
	const [host = ""] = domain.split(":");
	if (certificate.checkHost(`49983-i.${host}`) === undefined) throw refusal(`${files.cert} is not for *.${host}`);
	return { port, cert, key, domain, authority: files === own ? own.authority : undefined };
}

async function readText(path: string, signal: AbortSignal): Promise<string> {
	return readFile(path, { encoding: "utf8", signal }).catch((error: NodeJS.ErrnoException) => {
		signal.throwIfAborted();
		throw refusal(`${path} cannot be read (${error.code})`);
	});
}

function parse<T>(path: string, read: () => T): T {
	try {
		return read();
	} catch {
		throw refusal(`${path} is not what it should be in PEM`);
	}
}

/** The domain that a certificate for `*.<domain>` is meant for. */
function wildcardOf(path: string, certificate: X509Certificate): string {
	const wildcard = /DNS:\*\.([^\s,]+)/.exec(certificate.subjectAltName ?? "")?.[1];
	if (wildcard === undefined) throw refusal(`${path} has no name of the form *.<domain>, which each sandbox needs`);
	return wildcard.toLowerCase();
}

function withPort(host: string, port: number): string {
	return port === 443 ? host : `${host}:${port}`;
}

function refusal(reason: string): OffshootError {
	return new OffshootError(
		"invalid_request",
		`${reason}. FIX: make one with ./offshoot cert --domain <domain>, or set OFFSHOOT_TLS_CERT and OFFSHOOT_TLS_KEY`,
	);
}
