import { once } from "node:events";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type TLSSocket } from "node:tls";
import { expect, onTestFinished, test, vi } from "vitest";
import { createEdge, openFrontDoor } from "../../edge/index.ts";
import { readConfig } from "../config.ts";
import { renewCertificate } from "./files.ts";
import { loadTls } from "./load.ts";
import { followCertificate } from "./renewal.ts";

const EVERY_MS = 20;

/** A data directory with a certificate, and a front door that uses it and follows it. */
async function openServer() {
	const dataDir = await mkdtemp(join(tmpdir(), "offshoot-renewal-"));
	onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
	const ended = new AbortController();
	const files = await renewCertificate(dataDir, "sbx.test");
	const config = readConfig({ OFFSHOOT_DATA_DIR: dataDir, OFFSHOOT_TLS_PORT: "8443" });
	const current = await loadTls(config, ended.signal);
	if (current === undefined) throw new Error("there is a certificate");
	const warnings: unknown[] = [];
	const log = { info: () => {}, warn: (fields: object) => warnings.push(fields), error: () => {} };
	const nobody = { admit: async () => ({ kind: "not-found" }) as const, signedUrlCandidates: () => [], onGone: () => () => {} };
	const door = await openFrontDoor({
		api: (_req, res) => res.end("api"),
		edge: createEdge({ control: nobody, log: log as never }),
		bind: "127.0.0.1",
		port: 0,
		tls: { ...current, port: 0 },
		signal: new AbortController().signal,
	});
	followCertificate({ config, current, use: (renewed) => door.renew(renewed), log, everyMs: EVERY_MS }, ended.signal);
	onTestFinished(async () => {
		ended.abort();
		await door.close();
	});
	return { dataDir, files, door, warnings };
}

async function handshake(port: number | undefined): Promise<TLSSocket> {
	const socket = connect({ port: port ?? 0, host: "127.0.0.1", servername: "api.sbx.test", rejectUnauthorized: false });
	onTestFinished(() => void socket.destroy());
	await once(socket, "secureConnect");
	return socket;
}

test("a renewed certificate is given to new connections, and open ones go on", async () => {
	const { dataDir, door } = await openServer();
	const before = await handshake(door.tlsPort);
	const serial = before.getPeerCertificate().serialNumber;
	await renewCertificate(dataDir, "sbx.test");
	await expect.poll(async () => (await handshake(door.tlsPort)).getPeerCertificate().serialNumber).not.toBe(serial);
	before.write("GET / HTTP/1.1\r\nHost: api.sbx.test\r\nConnection: close\r\n\r\n");
	const [answer] = await once(before, "data");
	expect(String(answer)).toContain("200 OK");
});

test("a certificate that is broken or for another domain changes nothing, and is told of once", async () => {
	const { dataDir, files, door, warnings } = await openServer();
	const serial = (await handshake(door.tlsPort)).getPeerCertificate().serialNumber;
	await writeFile(files.cert, "half a certific");
	await expect.poll(() => warnings.length).toBe(1);
	expect((await handshake(door.tlsPort)).getPeerCertificate().serialNumber).toBe(serial);
	await renewCertificate(dataDir, "other.test");
	await expect.poll(() => warnings.length).toBeGreaterThan(1);
	expect((await handshake(door.tlsPort)).getPeerCertificate().serialNumber).toBe(serial);
	await renewCertificate(dataDir, "sbx.test");
	await expect.poll(async () => (await handshake(door.tlsPort)).getPeerCertificate().serialNumber).not.toBe(serial);
});

test("a certificate that is seen half renewed is not told of", async () => {
	vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
	onTestFinished(() => void vi.useRealTimers());
	const { files, door, warnings } = await openServer();
	const serial = (await handshake(door.tlsPort)).getPeerCertificate().serialNumber;
	const elsewhere = await mkdtemp(join(tmpdir(), "offshoot-renewal-"));
	onTestFinished(() => rm(elsewhere, { recursive: true, force: true }));
	const renewed = await renewCertificate(elsewhere, "sbx.test");
	await copyFile(renewed.key, files.key);
	vi.advanceTimersByTime(EVERY_MS);
	// Time to read both files; if it is not enough, the test shows less, but fails for nothing.
	await sleep(100);
	await copyFile(renewed.cert, files.cert);
	vi.advanceTimersByTime(EVERY_MS);
	await expect.poll(async () => (await handshake(door.tlsPort)).getPeerCertificate().serialNumber).not.toBe(serial);
	expect(warnings).toEqual([]);
});
