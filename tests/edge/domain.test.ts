/** Clients that reach everything by names of one domain, with TLS and an own authority. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type OutgoingHttpHeaders } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { Sandbox } from "e2b";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { killAtEnd } from "../support/sandboxes.ts";
import { freePort, parseExports, startTestServer, type TestServer } from "../support/server.ts";
import { serveWildcard, type WildcardDns } from "../support/wildcard-dns.ts";
import { GUEST_PORT, serveGuest, toGuest } from "./guest-server.ts";

const execute = promisify(execFile);
const DOMAIN = "sbx.test";
const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");

/** A Python with the newest clients of PyPI, made by `offshoot test`. */
const PYTHON = process.env.OFFSHOOT_TEST_PYTHON ?? "";

let dataDir: string;
let server: TestServer;
let tlsPort: number;
let dns: WildcardDns;
let environment: Record<string, string>;

beforeAll(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "offshoot-domain-"));
	await makeCertificate();
	tlsPort = await freePort();
	server = await startTestServer({ dataDir, env: { OFFSHOOT_TLS_PORT: String(tlsPort) } });
	environment = parseExports((await server.cli("env", "--tls")).stdout);
	dns = await serveWildcard(DOMAIN);
});

afterAll(async () => {
	await dns?.[Symbol.asyncDispose]();
	await server?.destroy();
	await rm(dataDir, { recursive: true, force: true });
});

const makeCertificate = () =>
	execute(process.execPath, [MAIN, "cert", "--domain", DOMAIN], { env: { ...process.env, OFFSHOOT_DATA_DIR: dataDir } });

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

describe("over HTTP/2 and TLS", () => {
	let ca: string;
	let client: ClientHttp2Session;

	beforeAll(async () => {
		ca = await readFile(join(dataDir, "tls/ca.pem"), "utf8");
		client = connect(`https://127.0.0.1:${tlsPort}`, { ca, servername: `api.${DOMAIN}` });
		await once(client, "remoteSettings");
	});
	afterAll(() => client?.destroy());

	async function newGuest(): Promise<Sandbox> {
		const sandbox = killAtEnd(await Sandbox.create("base", server.sdk));
		await serveGuest(sandbox);
		return sandbox;
	}

	function send({ sandboxId }: Sandbox, headers: OutgoingHttpHeaders, endStream = true): ClientHttp2Stream {
		const authority = `${GUEST_PORT}-${sandboxId}.${DOMAIN}:${tlsPort}`;
		const stream = client.request({ ":authority": authority, ...headers }, { endStream });
		stream.on("error", () => {});
		return stream;
	}

	async function handshake(): Promise<TLSSocket> {
		const socket = connectTls({ port: tlsPort, host: "127.0.0.1", ca, servername: `api.${DOMAIN}` });
		await once(socket, "secureConnect");
		return socket;
	}

	test("streams of one connection, more than a hundred, reach guests as HTTP/1.1; a kill resets those of its sandbox alone", async () => {
		const [doomed, other] = await Promise.all([newGuest(), newGuest()]);
		const told = send(doomed, { ":method": "POST", ":path": "/told?a=1", "x-y": "z", cookie: ["a=1", "b=2"] }, false);
		told.end("body");
		const { headers, ...request } = JSON.parse(await text(told));
		expect(request).toEqual({ method: "POST", url: "/told?a=1", httpVersion: "1.1", body: "body" });
		expect(headers).toMatchObject({ "x-y": "z", cookie: "a=1; b=2", "x-forwarded-proto": "https" });

		const streams = Array.from({ length: 110 }, () => send(doomed, { ":path": "/stream" }));
		const steady = send(other, { ":path": "/echo", ":method": "POST" }, false);
		const echo = async (piece: string) => {
			steady.write(piece);
			expect(String((await once(steady, "data"))[0])).toBe(piece);
		};
		await Promise.all([...streams.map((stream) => once(stream, "data")), echo("before")]);
		const ends = streams.map((stream) => new Promise((resolve) => stream.resume().once("close", resolve)));
		await doomed.kill();
		await Promise.all(ends);
		expect(new Set(streams.map(({ rstCode }) => rstCode))).toEqual(new Set([constants.NGHTTP2_INTERNAL_ERROR]));
		await echo("after");
	});

	test("a WebSocket on a stream carries frames both ways, and ends with its sandbox", async () => {
		const sandbox = await newGuest();
		const socket = send(sandbox, { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":path": "/" }, false);
		const [answer] = await once(socket, "response");
		expect(answer).toMatchObject({ ":status": 200 });
		// "hi", masked with zeros (RFC 6455 §5.2), comes back without the mask.
		socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, ...Buffer.from("hi")]));
		expect((await once(socket, "data"))[0]).toEqual(Buffer.from([0x81, 2, ...Buffer.from("hi")]));
		const closed = new Promise((resolve) => socket.resume().once("close", resolve));
		await sandbox.kill();
		await closed;
		expect(socket.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
	});

	test("an answer that must have no body comes without the one that its guest sends", async () => {
		const answer = send(await newGuest(), { ":path": "/bodied" });
		expect((await once(answer, "response"))[0]).toMatchObject({ ":status": 204 });
		expect(await text(answer)).toBe("");
	});

	test("a certificate renewed by the command is given to new connections, and open ones go on", async () => {
		const sandbox = await newGuest();
		const before = await handshake();
		await makeCertificate();
		await expect
			.poll(async () => (await handshake()).end().getPeerCertificate().serialNumber)
			.not.toBe(before.getPeerCertificate().serialNumber);
		before.end();
		expect(JSON.parse(await text(send(sandbox, { ":path": "/told" })))).toMatchObject({ url: "/told" });
	});

	test("who waits or comes when the server stops is answered 503, and finds the sandbox and its measures again with the next one", async () => {
		const sandbox = await newGuest();
		await expect.poll(async () => (await sandbox.getMetrics()).length).not.toBe(0);
		const waiting = send(sandbox, { ":path": "/silent" });
		const answered = once(waiting, "response");
		// Begun before the stop, its body ends after it.
		const headers = { "x-api-key": server.apiKey, "content-type": "application/json", expect: "100-continue" };
		const create = request(`${server.url}/v2/sandboxes`, { method: "POST", headers });
		create.flushHeaders();
		await once(create, "continue");
		await expect
			.poll(async () => (await sandbox.commands.run(`ss -Htn state established sport = :${GUEST_PORT}`)).stdout)
			.not.toBe("");
		process.kill((await server.status()).pid, "SIGTERM");
		const [answer] = await answered;
		expect(answer).toMatchObject({ ":status": 503, "retry-after": "1" });
		create.end(JSON.stringify({ templateID: "base" }));
		const [refused] = (await once(create, "response")) as [IncomingMessage];
		expect([refused.statusCode, refused.headers["retry-after"]]).toEqual([503, "5"]);
		expect(JSON.parse(await text(refused))).toEqual({ code: 503, message: expect.stringContaining("try again") });
		await expect.poll(() => server.status().catch(() => "ended")).toBe("ended");
		const ended = new Date();
		await server.start();
		expect((await sandbox.getMetrics({ end: ended })).length).toBeGreaterThan(0);
		const again = await fetch(`${server.url}/told`, { headers: toGuest(sandbox) });
		expect(again.status).toBe(200);
	});
});
