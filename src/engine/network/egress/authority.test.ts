import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openEgressAuthority } from "./authority.ts";

async function directory(): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "offshoot-egress-"));
	onTestFinished(() => rm(dir, { recursive: true }));
	return join(dir, "egress");
}

const signal = new AbortController().signal;

test("an authority is kept, its key for the server alone, and vouches for one name at a time", async () => {
	const dir = await directory();
	const { certificate } = await openEgressAuthority(dir, signal);
	const again = await openEgressAuthority(dir, signal);
	expect(again.certificate).toBe(certificate);
	expect((await stat(join(dir, "ca.key"))).mode & 0o777).toBe(0o600);
	const leaf = new X509Certificate((await again.issue("api.example.com")).cert);
	const issuer = new X509Certificate(certificate);
	expect(leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey)).toBe(true);
	expect(leaf.checkHost("api.example.com")).toBe("api.example.com");
	expect(leaf.checkHost("example.com")).toBeUndefined();
	expect(leaf.ca).toBe(false);
});

test("a damaged authority is not replaced behind the operator's back", async () => {
	const dir = await directory();
	await openEgressAuthority(dir, signal);
	await writeFile(join(dir, "ca.pem"), "damaged");
	await expect(openEgressAuthority(dir, signal)).rejects.toThrow();
	expect(await readFile(join(dir, "ca.pem"), "utf8")).toBe("damaged");
});
