/** What happens to requests on their way to a sandbox's port, and when it ends: with a real sandbox and common clients. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Agent, type ClientRequest, type IncomingMessage, type RequestOptions, request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { Sandbox } from "e2b";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { newSandbox, sdk } from "../support/sandboxes.ts";
import { serveGuest, toGuest } from "./guest-server.ts";

const execute = promisify(execFile);
/** Requests that one sandbox may have under way. */
const CONNECTION_LIMIT = 5_000;

let sandbox: Sandbox;
beforeAll(async () => {
	sandbox = await Sandbox.create("base", sdk());
	await serveGuest(sandbox);
});
afterAll(() => sandbox.kill());

function open(path: string, options: RequestOptions = {}, to = sandbox): ClientRequest {
	return request(new URL(path, sdk().sandboxUrl), { ...options, headers: { ...toGuest(to), ...options.headers } });
}

async function answerTo(outgoing: ClientRequest): Promise<IncomingMessage> {
	const [response] = (await once(outgoing, "response")) as [IncomingMessage];
	return response;
}

async function ask(path: string, options?: RequestOptions, to?: Sandbox): Promise<{ status: number; body: string }> {
	const response = await answerTo(open(path, options, to).end());
	return { status: response.statusCode ?? 0, body: await text(response) };
}

/** What curl prints for a request to the sandbox's own host. */
async function curl(path: string, ...args: string[]): Promise<string> {
	const { host } = new URL(sdk().sandboxUrl);
	const named = ["-H", `Host: 8000-${sandbox.sandboxId}.sbx.test`];
	return (await execute("curl", ["-sS", ...named, ...args, `http://${host}${path}`], { maxBuffer: 1 << 26 })).stdout;
}

describe("a request", () => {
	test("reaches the guest as curl sent it, and says who sent it", async () => {
		const told = JSON.parse(await curl("/told?a=1%2F2&b", "-X", "PATCH", "--data-binary", "body", "-H", "X-Y: z"));
		const host = `8000-${sandbox.sandboxId}.sbx.test`;
		expect(told).toMatchObject({ method: "PATCH", url: "/told?a=1%2F2&b", httpVersion: "1.1", body: "body" });
		expect(told.headers).toMatchObject({
			host,
			"x-y": "z",
			"x-forwarded-for": "127.0.0.1",
			"x-forwarded-proto": "http",
			"x-forwarded-host": host,
		});
	});

	test("that curl would rather send in HTTP/2 is served in HTTP/1.1", async () => {
		const told = JSON.parse(await curl("/told", "--http2", "-H", "X-Y: z"));
		expect(told).toMatchObject({ httpVersion: "1.1", headers: { "x-y": "z" } });
		expect(Object.keys(told.headers)).not.toContain("upgrade");
	});

	test("beside 5,000 others of the same sandbox is answered 429, and others are not", async () => {
		const { hostname, port } = new URL(sdk().sandboxUrl);
		const flood = connect({ host: hostname, port: Number(port) });
		flood.on("error", () => {});
		flood.write(`GET /silent HTTP/1.1\r\nHost: 8000-${sandbox.sandboxId}.sbx.test\r\n\r\n`.repeat(CONNECTION_LIMIT));
		await expect.poll(async () => (await ask("/told", { agent: false })).status).toBe(429);
		expect(JSON.parse((await ask("/told", { agent: false })).body)).toEqual({
			sandboxId: sandbox.sandboxId,
			message: expect.any(String),
			connectionLimit: CONNECTION_LIMIT,
			code: 429,
		});
		expect((await (await newSandbox()).commands.run("echo free")).stdout).toBe("free\n");
		flood.destroy();
		await expect.poll(async () => (await ask("/told", { agent: false })).status).toBe(200);
	});

	test("of many megabytes without a length, to be asked for first, comes back whole", async () => {
		const body = randomBytes(6_000_000).toString("hex");
		const upload = execute(
			"curl",
			["-sS", "-T", "-", "-H", "Expect: 100-continue", ...headerArgs(), `${sdk().sandboxUrl}/echo`],
			{
				maxBuffer: 1 << 26,
			},
		);
		upload.child.stdin?.end(body);
		expect((await upload).stdout === body).toBe(true);
	});

	test("passes piece by piece, in both directions, with trailers at the end", async () => {
		const outgoing = open("/echo", { method: "POST", headers: { trailer: "x-sum" } });
		outgoing.write("0");
		const response = await answerTo(outgoing);
		for (const piece of ["0", "1", "2"]) {
			if (piece !== "0") outgoing.write(piece);
			expect(String((await once(response, "data"))[0])).toBe(piece);
		}
		outgoing.addTrailers({ "x-sum": "3" });
		outgoing.end();
		await text(response);
		expect(response.trailers).toEqual({ "x-sum": "3" });
	});

	test("that the guest does not want, said beforehand or early, is answered so; the connection stays usable", async () => {
		const agent = new Agent({ keepAlive: true, maxSockets: 1 });
		const asking = { agent, method: "PUT", headers: { expect: "100-continue", "x-unwanted": "yes", "content-length": "4" } };
		const unwanted = open("/told", asking);
		unwanted.flushHeaders();
		unwanted.once("continue", () => unwanted.end("body"));
		const refused = await answerTo(unwanted);
		expect([refused.statusCode, await text(refused)]).toEqual([417, "unwanted"]);
		unwanted.destroy();

		const early = await answerTo(open("/early", { agent, method: "POST" }).end("x".repeat(300_000)));
		expect([early.statusCode, await text(early)]).toEqual([413, "too much"]);
		expect((await ask("/told", { agent })).status).toBe(200);
		agent.destroy();
	});

	test("for a port that is about to open waits for it", async () => {
		await ask("/late?port=8100");
		expect(await ask("/", { headers: toGuest(sandbox, 8100) })).toEqual({ status: 200, body: "late" });
	});

	test("with two hosts is refused; with a host that is no sandbox's it is the API's", async () => {
		const { hostname, port } = new URL(sdk().sandboxUrl);
		const own = `8000-${sandbox.sandboxId}.sbx.test`;
		const raw = connect({ host: hostname, port: Number(port) });
		raw.write(`GET /told HTTP/1.1\r\nHost: ${own}\r\nHost: other.test\r\nConnection: close\r\n\r\n`);
		expect(await text(raw)).toMatch(/^HTTP\/1.1 400 /);
		const api = request(new URL("/v2/sandboxes", sdk().sandboxUrl), {
			headers: { host: "nothing.sbx.test", "x-api-key": sdk().apiKey },
		});
		const answer = await answerTo(api.end());
		expect([answer.statusCode, await text(answer)]).toEqual([200, expect.stringContaining(sandbox.sandboxId)]);
		const named = { headers: { host: "machine.example" } };
		expect(JSON.parse((await ask("/told", named)).body).headers.host).toBe("machine.example");
	});
});

test("a WebSocket carries messages of any size, both ways", async () => {
	const socket = openSocket(sandbox);
	await once(socket, "open");
	for (const size of [1, 1_000, 100_000, 3_000_000]) {
		const message = randomBytes(size);
		socket.send(message);
		const [echoed] = (await once(socket, "message")) as [Buffer];
		expect(echoed.equals(message)).toBe(true);
	}
	socket.close();
	await once(socket, "close");
});

describe("when a sandbox ends", () => {
	test("an answer is cut and not finished, a WebSocket ends, and who has no answer yet is told", async () => {
		const doomed = await newSandbox();
		await serveGuest(doomed);
		const { hostname, port } = new URL(sdk().sandboxUrl);
		const raw = connect({ host: hostname, port: Number(port) });
		raw.write(`GET /stream HTTP/1.1\r\nHost: 8000-${doomed.sandboxId}.sbx.test\r\n\r\n`);
		await once(raw, "data");
		// "end" is FIN; a reset is an error.
		const cut = text(raw);
		const socket = openSocket(doomed);
		await once(socket, "open");
		const closed = once(socket, "close");
		const silent = ask("/silent", {}, doomed);
		const stream = await answerTo(open("/stream", {}, doomed).end());
		const aborted = expect(text(stream)).rejects.toThrow("aborted");
		await doomed.kill();
		expect(await cut).not.toContain("0\r\n");
		await aborted;
		expect((await closed)[0]).toBe(1006);
		expect(await silent).toMatchObject({ status: 502, body: expect.stringContaining("The sandbox was not found") });
	});

	test("by a pause, requests that come meanwhile wait and find it gone, or running again where they may wake it", async () => {
		const answers = async (lifecycle?: { onTimeout: "pause"; autoResume: boolean }) => {
			const paused = await newSandbox("base", lifecycle && { lifecycle });
			await serveGuest(paused);
			const pausing = paused.pause();
			const asked = Array.from({ length: 10 }, () => ask("/told", { agent: false }, paused));
			await pausing;
			return Promise.all([...asked, ask("/told", {}, paused)]);
		};
		const gone = await answers();
		for (const { status, body } of gone.filter(({ status }) => status !== 200)) {
			expect([status, JSON.parse(body).message]).toEqual([502, "The sandbox was not found"]);
		}
		expect(gone.at(-1)?.status).toBe(502);
		const woken = await answers({ onTimeout: "pause", autoResume: true });
		expect(woken.at(-1)?.status).toBe(200);
		for (const { status, body } of woken) expect([status, body]).toEqual([200, expect.stringContaining("/told")]);
	});
});

function openSocket(to: Sandbox): WebSocket {
	return new WebSocket(sdk().sandboxUrl.replace("http", "ws"), { headers: toGuest(to), perMessageDeflate: false });
}

function headerArgs(): string[] {
	return Object.entries(toGuest(sandbox)).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
}
