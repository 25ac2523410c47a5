/** Clients that reach everything by names of one domain, with TLS and an own authority. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort, parseExports, startTestServer, type TestServer } from "../support/server.ts";
import { serveWildcard, type WildcardDns } from "../support/wildcard-dns.ts";

const execute = promisify(execFile);
const DOMAIN = "sbx.test";
const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");

/** A Python with the newest clients of PyPI, made by `offshoot test`. */
const PYTHON = process.env.OFFSHOOT_TEST_PYTHON ?? "";

let dataDir: string;
let server: TestServer;
let dns: WildcardDns;
let environment: Record<string, string>;

beforeAll(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "offshoot-domain-"));
	await execute(process.execPath, [MAIN, "cert", "--domain", DOMAIN], { env: { ...process.env, OFFSHOOT_DATA_DIR: dataDir } });
	server = await startTestServer({ dataDir, env: { OFFSHOOT_TLS_PORT: String(await freePort()) } });
	environment = parseExports((await server.cli("env", "--tls")).stdout);
	dns = await serveWildcard(DOMAIN);
});

afterAll(async () => {
	await dns?.[Symbol.asyncDispose]();
	await server?.destroy();
	await rm(dataDir, { recursive: true, force: true });
});

/** Runs a program that knows the server by nothing but its domain, key and authority. */
async function runClient(program: string, ...args: string[]): Promise<string> {
	const { E2B_API_URL, E2B_SANDBOX_URL, ...inherited } = process.env;
	const { stdout } = await execute(...dns.command(program, ...args), { env: { ...inherited, ...environment }, timeout: 120_000 });
	return stdout.trim().split("\n").at(-1) ?? "";
}

const programPath = (name: string) => join(import.meta.dirname, "programs", name);

test("the JavaScript clients need no more than E2B_DOMAIN", async () => {
	expect(Object.keys(environment)).not.toContain("E2B_SANDBOX_URL");
	expect(await runClient(process.execPath, programPath("domain.ts"))).toBe("OK");
});

test("the Python clients need no more than E2B_DOMAIN", async () => {
	expect(PYTHON, "OFFSHOOT_TEST_PYTHON: run the tests through `./offshoot test`").not.toBe("");
	expect(await runClient(PYTHON, programPath("domain.py"))).toBe("OK");
});
