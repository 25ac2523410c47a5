/** How requests find sandboxes, and what is answered where there is none: with real sandboxes, over plain HTTP. */
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { Sandbox, TimeoutError } from "e2b";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { WebSocket } from "ws";
import { containersOf } from "../support/host.ts";
import { rest } from "../support/rest.ts";
import { newSandbox, sdk, until } from "../support/sandboxes.ts";

const AGENT = 49983;
const UNKNOWN = "i00000000000000000000";
const BROWSER = {
	"user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36",
	accept: "text/html,application/xhtml+xml,*/*;q=0.8",
};

interface Answer {
	readonly status: number;
	readonly type: string;
	readonly headers: Readonly<Record<string, unknown>>;
	readonly body: string;
}

interface Asked {
	readonly path?: string;
	readonly method?: string;
	readonly headers?: Readonly<Record<string, string>>;
}

/** One request to the edge; a host in `headers` need not resolve. */
function ask({ path = "/", method = "GET", headers = {} }: Asked): Promise<Answer> {
	const { hostname, port } = new URL(inject("server").url);
	const { promise, resolve, reject } = Promise.withResolvers<Answer>();
	const outgoing = request({ host: hostname, port, path, method, headers });
	outgoing.on("error", reject);
	outgoing.on("response", async (response) => {
		const chunks: Buffer[] = [];
		for await (const chunk of response) chunks.push(chunk);
		const type = response.headers["content-type"] ?? "";
		resolve({ status: response.statusCode ?? 0, type, headers: response.headers, body: Buffer.concat(chunks).toString() });
	});
	outgoing.end();
	return promise;
}

const routed = (sandboxId: string, port: number): Readonly<Record<string, string>> => ({
	"e2b-sandbox-id": sandboxId,
	"e2b-sandbox-port": `${port}`,
});

/** A server in the guest that tells the Host it was asked for. */
const SERVER = `
import http.server
class Tell(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.headers["host"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = answer
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Tell).serve_forever()
`;

async function serve(sandbox: Sandbox): Promise<void> {
	await sandbox.files.write("/tmp/tell.py", SERVER);
	// Left to itself: a client that holds its stream asks for the sandbox's health when a pause cuts it, and so wakes it.
	await sandbox.commands.run("python3 /tmp/tell.py > /dev/null 2>&1 &");
	await sandbox.commands.run("while ! ss -Htln sport = :8000 | grep -q .; do sleep 0.05; done");
}

describe("a sandbox's port", () => {
	test("is found by host, by host with the client's id behind, by headers, and on the shared host; its own host wins", async () => {
		const sandbox = await newSandbox();
		await serve(sandbox);
		const id = sandbox.sandboxId;
		for (const host of [`8000-${id}.sbx.test`, `8000-${id}.sbx.test:8443`, `8000-${id}-6532622b.sbx.test`]) {
			expect(await ask({ headers: { host } })).toMatchObject({ status: 200, body: host });
		}
		for (const host of ["localhost", "127.0.0.1:4983", "[::1]", "sandbox.sbx.test"]) {
			expect(await ask({ headers: { host, ...routed(id, 8000) } })).toMatchObject({ status: 200, body: host });
		}
		const legacy = routed(`${id}-6532622b`, 8000);
		expect(await ask({ headers: { host: "localhost", ...legacy } })).toMatchObject({ status: 200, body: "localhost" });
		const both = { host: `8000-${id}.sbx.test`, ...routed(UNKNOWN, 1) };
		expect(await ask({ headers: both })).toMatchObject({ status: 200, body: both.host });
	});

	test.each<[string, Readonly<Record<string, string>>]>([
		["missing header", { host: "localhost", "e2b-sandbox-id": UNKNOWN }],
		["missing header", { host: "sandbox.sbx.test", "e2b-sandbox-port": "80" }],
		["Invalid sandbox ID", { host: "localhost", "e2b-sandbox-id": "I_bad", "e2b-sandbox-port": "80" }],
		["Invalid sandbox port", { host: "0-iabc00000000000000000.sbx.test" }],
		["Invalid sandbox port", { host: "99999-iabc00000000000000000.sbx.test" }],
		["Invalid sandbox port", { host: "localhost", "e2b-sandbox-id": UNKNOWN, "e2b-sandbox-port": "x" }],
	])("is a 400 %j for %o", async (text, headers) => {
		expect(await ask({ headers })).toMatchObject({ status: 400, type: expect.stringContaining("text/plain"), body: text });
	});

	test("is never meant by a name of the server itself, numbers and dashes or not", async () => {
		for (const host of ["10-0-0-5.nip.io", "2-node.example.com", "3d-lab.example.com:4983"]) {
			expect(await ask({ path: "/health", headers: { host } })).toMatchObject({ status: 204 });
			expect(await ask({ headers: { host, ...routed(UNKNOWN, 80) } })).toMatchObject({ status: 502 });
		}
	});

	test("that nobody listens on, and one of a sandbox that is not there, are told apart", async () => {
		const sandbox = await newSandbox();
		const closed = await ask({ headers: routed(sandbox.sandboxId, 8001) });
		expect([closed.status, closed.type, JSON.parse(closed.body)]).toEqual([
			502,
			"application/json; charset=utf-8",
			{ sandboxId: sandbox.sandboxId, message: "The sandbox is running but port is not open", port: 8001, code: 502 },
		]);
		const gone = { message: "The sandbox was not found", code: 502 };
		const nobody = await ask({ headers: routed(UNKNOWN, 8001) });
		expect([nobody.status, JSON.parse(nobody.body)]).toEqual([502, { sandboxId: UNKNOWN, ...gone }]);
		await sandbox.pause();
		const paused = await ask({ headers: { ...routed(sandbox.sandboxId, AGENT), "x-access-token": "any" } });
		expect([paused.status, JSON.parse(paused.body)]).toEqual([502, { sandboxId: sandbox.sandboxId, ...gone }]);
		expect(paused.headers["access-control-allow-origin"]).toBe("*");
	});

	test("shows people a page, and programs of a browser JSON", async () => {
		const headers = { ...routed(UNKNOWN, 80), ...BROWSER };
		expect(await ask({ headers })).toMatchObject({ status: 502, type: expect.stringContaining("text/html") });
		const fetched = { ...headers, "sec-fetch-dest": "empty", accept: "*/*" };
		expect(await ask({ headers: fetched })).toMatchObject({ status: 502, type: expect.stringContaining("json") });
	});
});

/** A request waits for a minute before it is told: only in long runs. */
test.runIf(process.env.OFFSHOOT_TEST_LONG === "1")("a sandbox whose pause does not come to an end is a 409", async () => {
	const sandbox = await newSandbox();
	const { sandboxId } = sandbox;
	const instance = (await readFile(join(inject("server").dataDir, "instance"), "utf8")).trim();
	const container = (await containersOf(instance)).find((each) => each.sandboxId === sandboxId);
	const { pid } = container ?? expect.unreachable();
	process.kill(pid, "SIGSTOP");
	const pausing = sandbox.pause({ requestTimeoutMs: 150_000 }).catch((error: unknown) => error);
	await until("the pause to begin", async () => (await sandbox.getInfo()).state === "paused");
	const answer = await ask({ headers: routed(sandboxId, 8000) });
	process.kill(pid, "SIGCONT");
	expect([answer.status, JSON.parse(answer.body)]).toEqual([
		409,
		{ sandboxId, message: expect.stringMatching(/transition/), code: 409 },
	]);
	// Whether an engine that was held up so long outlives the stop it is asked to undo is its own affair; the truth is told.
	const told = String(await pausing);
	expect(told).toMatch((await sandbox.isRunning()) ? /goes on running/ : /not found/);
});

/** For tests that change nothing in it. */
let untouched: Sandbox;
beforeAll(async () => {
	untouched = await Sandbox.create("base", sdk());
});
afterAll(() => untouched.kill());

test.each(["/init", "/freeze", "/unfreeze", "/collapse", "/fsfreeze", "/fsthaw", "/upgrade"])(
	"the agent's own path %s is nobody's",
	async (path) => {
		const { sandboxId } = untouched;
		const answer = await ask({ path, method: "POST", headers: routed(sandboxId, AGENT) });
		expect([answer.status, JSON.parse(answer.body)]).toEqual([404, { message: expect.any(String), path, code: 404 }]);
	},
);

test("a browser's preflight passes without key and token, and the API tells what pages may read", async () => {
	const origin = { origin: "https://page.example", "access-control-request-method": "POST" };
	const asked = "x-api-key,content-type,browser,lang,lang_version,package_version,publisher,sdk_runtime,system,x-team-id";
	const api = await ask({
		path: "/v2/sandboxes",
		method: "OPTIONS",
		headers: { ...origin, "access-control-request-headers": asked },
	});
	expect(api.status).toBeLessThan(300);
	const allowed = String(api.headers["access-control-allow-headers"]).toLowerCase();
	for (const header of asked.split(",")) expect(allowed).toContain(header);
	expect(String(api.headers["access-control-allow-methods"])).toMatch(/(?=.*GET)(?=.*POST)(?=.*PUT)(?=.*PATCH)(?=.*DELETE)/);
	const listed = await ask({ path: "/v2/sandboxes", headers: { ...origin, "x-api-key": sdk().apiKey } });
	expect(listed.headers["access-control-allow-origin"]).toBe("*");
	expect(String(listed.headers["access-control-expose-headers"])).toMatch(/(?=.*X-Next-Token)(?=.*X-Total-Running)/i);

	const { sandboxId } = untouched;
	const headers = { ...routed(sandboxId, AGENT), ...origin, "access-control-request-headers": "x-access-token,content-type" };
	const agent = await ask({ path: "/files", method: "OPTIONS", headers });
	expect([agent.status < 300, agent.headers["access-control-allow-origin"]]).toEqual([true, "*"]);
});

describe("a paused sandbox that traffic may wake", () => {
	const options = { timeoutMs: 60_000, lifecycle: { onTimeout: "pause", autoResume: true } };

	test("is woken by a request to any port, for at least five minutes; the agent's port asks for the token", async () => {
		const sandbox = await newSandbox("base", options);
		await serve(sandbox);
		await sandbox.pause();
		expect((await ask({ path: "/health", headers: routed(sandbox.sandboxId, AGENT) })).status).toBe(403);
		expect((await sandbox.getInfo()).state).toBe("paused");
		expect((await ask({ headers: routed(sandbox.sandboxId, 8000) })).status).toBe(200);
		const { state, endAt } = await sandbox.getInfo();
		expect(state).toBe("running");
		expect(endAt.getTime() - Date.now()).toBeGreaterThan(240_000);
		await sandbox.pause();
		expect(await sandbox.isRunning()).toBe(true);
	});

	test("sleeps on while a browser asks what a page may send, and wakes for the page's own request", async () => {
		const sandbox = await newSandbox("base", options);
		await sandbox.files.write("/tmp/note", "kept");
		const origin = { origin: "https://page.example", "access-control-request-method": "GET" };
		const asked = { ...origin, "access-control-request-headers": "x-access-token" };
		const path = "/files?path=/tmp/note";
		const preflight = () => ask({ path, method: "OPTIONS", headers: { ...routed(sandbox.sandboxId, AGENT), ...asked } });
		const said = ({ status, headers }: Answer) => [
			status,
			...["origin", "methods", "headers", "max-age"].map(
				(name) => headers[`access-control-${name === "max-age" ? "" : "allow-"}${name}`],
			),
		];
		const awake = said(await preflight());
		await sandbox.pause();
		expect(said(await preflight())).toEqual(awake);
		expect((await sandbox.getInfo()).state).toBe("paused");
		const token = await rest("GET", `/sandboxes/${sandbox.sandboxId}`);
		const headers = { ...routed(sandbox.sandboxId, AGENT), "x-access-token": token.body.envdAccessToken };
		expect(await ask({ path, headers })).toMatchObject({ status: 200, body: "kept" });
	});

	test("is woken by a WebSocket", async () => {
		const sandbox = await newSandbox("base", options);
		await serve(sandbox);
		await sandbox.pause();
		const socket = new WebSocket(sdk().sandboxUrl.replace("http", "ws"), { headers: routed(sandbox.sandboxId, 8000) });
		// The guest's server speaks no WebSocket: its own answer shows that the request reached it.
		const status = await new Promise((resolve) => {
			socket.on("unexpected-response", (_request, response) => resolve(response.statusCode));
			socket.on("error", () => {});
		});
		expect([status, (await sandbox.getInfo()).state]).toEqual([200, "running"]);
	});

	test("with private traffic asks for the traffic token", async () => {
		const sandbox = await newSandbox("base", { ...options, network: { allowPublicTraffic: false } });
		await serve(sandbox);
		await sandbox.pause();
		expect((await ask({ headers: routed(sandbox.sandboxId, 8000) })).status).toBe(403);
		expect((await sandbox.getInfo()).state).toBe("paused");
		const token = { "e2b-traffic-access-token": sandbox.trafficAccessToken ?? "" };
		expect((await ask({ headers: { ...routed(sandbox.sandboxId, 8000), ...token } })).status).toBe(200);
	});
});

test("what is under way when its sandbox is killed or paused ends as the clients expect", async () => {
	const [killed, paused] = [await newSandbox(), await newSandbox()];
	const running = await Promise.all(
		[killed, paused].map((sandbox) => sandbox.commands.run("sleep 1000", { timeoutMs: 0, background: true })),
	);
	const ends = running.map((handle) => handle.wait().catch((error: unknown) => error));
	await killed.kill();
	await paused.pause();
	for (const end of await Promise.all(ends)) expect(end).toBeInstanceOf(TimeoutError);
	await expect(killed.files.read("/etc/hostname")).rejects.toThrow();
});
