import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readConfig } from "../config.ts";
import { type CertifiedKey, issueCertificate, makeAuthority } from "./authority.ts";
import { renewCertificate } from "./files.ts";
import { loadTls } from "./load.ts";

let dataDir: string;
const { signal } = new AbortController();

beforeEach(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "offshoot-cert-"));
});

afterEach(async () => {
	await rm(dataDir, { recursive: true, force: true });
});

/** What a client that trusts `ca` says of a server with `certificate`; "trusted" when it is content. */
async function verdict(ca: string, certificate: CertifiedKey, servername: string): Promise<string> {
	const server = createServer(certificate).listen(0, "127.0.0.1");
	await once(server, "listening");
	const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", ca, servername });
	try {
		await once(socket, "secureConnect");
		return "trusted";
	} catch (error) {
		return String(error);
	} finally {
		socket.destroy();
		server.close();
	}
}

describe("an own authority", () => {
	test("vouches for the domain and the names of sandboxes below it", async () => {
		const authority = await makeAuthority("sbx.test");
		const certificate = await issueCertificate(authority, "sbx.test");
		for (const name of ["sbx.test", "api.sbx.test", "49983-iabc.sbx.test"]) {
			expect(await verdict(authority.cert, certificate, name), name).toBe("trusted");
		}
		expect(await verdict(authority.cert, certificate, "sbx.example")).toContain("altnames");
		expect(await verdict((await makeAuthority("sbx.test")).cert, certificate, "sbx.test")).not.toBe("trusted");
	});

	test("cannot vouch for another domain", async () => {
		const authority = await makeAuthority("sbx.test");
		const stolen = await issueCertificate(authority, "bank.example");
		expect(await verdict(authority.cert, stolen, "bank.example")).toContain("permitted subtree violation");
	});
});

describe("the certificate of a data directory", () => {
	const config = (more: Record<string, string> = {}) =>
		readConfig({ OFFSHOOT_DATA_DIR: dataDir, OFFSHOOT_TLS_PORT: "8443", ...more });

	test("is found by the server, with the domain it is for", async () => {
		const { authority } = await renewCertificate(dataDir, "sbx.test");
		expect(await loadTls(config(), signal)).toMatchObject({ port: 8443, domain: "sbx.test:8443", authority });
		expect(await loadTls(config({ OFFSHOOT_TLS_PORT: "443" }), signal)).toMatchObject({ domain: "sbx.test" });
		expect(await loadTls(config({ OFFSHOOT_DOMAIN: "sbx.test:9000" }), signal)).toMatchObject({ domain: "sbx.test:9000" });
	});

	test("keeps its keys to root, and its authority when it is renewed for the same domain", async () => {
		const files = await renewCertificate(dataDir, "sbx.test");
		for (const path of [files.key, files.authorityKey]) expect((await stat(path)).mode & 0o777).toBe(0o600);
		const [authority, cert] = [await readFile(files.authority, "utf8"), await readFile(files.cert, "utf8")];
		await renewCertificate(dataDir, "sbx.test");
		expect(await readFile(files.authority, "utf8")).toBe(authority);
		expect(await readFile(files.cert, "utf8")).not.toBe(cert);
		await renewCertificate(dataDir, "other.test");
		expect(await readFile(files.authority, "utf8")).not.toBe(authority);
	});

	test("is refused with a way out when clients could not use it", async () => {
		await expect(loadTls(config(), signal)).rejects.toThrow(/cert\.pem cannot be read.*FIX: .*offshoot cert/);
		const files = await renewCertificate(dataDir, "sbx.test");
		await expect(loadTls(config({ OFFSHOOT_DOMAIN: "sbx.example" }), signal)).rejects.toThrow("is not for *.sbx.example");
		const other = await makeAuthority("sbx.test");
		await writeFile(files.key, other.key);
		await expect(loadTls(config(), signal)).rejects.toThrow("is not the key of");
		await writeFile(files.key, "no key");
		await expect(loadTls(config(), signal)).rejects.toThrow("not what it should be");
		const own = { OFFSHOOT_TLS_CERT: files.authority, OFFSHOOT_TLS_KEY: files.authorityKey };
		await expect(loadTls(config(own), signal)).rejects.toThrow("no name of the form *.<domain>");
	});
});
