import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CONTROL_PORT, OffshootError } from "../protocol/index.ts";
import { type FakeGuest, type OpenEdge, openEdge, openGuest, ownAddress, rawConnection, rawRequest, routing } from "./fixture.ts";

let edge: OpenEdge;
/** Stands for the agent's control port and for its public one: what must never be hit, and what may. */
let controlPort: FakeGuest;
let agent: FakeGuest;

beforeEach(async () => {
	const address = ownAddress();
	edge = await openEdge({ connectionLimit: 3 });
	controlPort = await openGuest((_req, res) => res.end("control"), address, CONTROL_PORT);
	agent = await openGuest((_req, res) => res.end("agent"), address, 49983);
	edge.control.run("iabc00000000000000000", { address });
});

afterEach(async () => {
	await edge[Symbol.asyncDispose]();
	await controlPort[Symbol.asyncDispose]();
	await agent[Symbol.asyncDispose]();
});

describe("the control port", () => {
	const id = "E2b-Sandbox-Id: iabc00000000000000000";
	const upgrade = (protocol: string) => [
		"Connection: Upgrade, HTTP2-Settings",
		`Upgrade: ${protocol}`,
		"HTTP2-Settings: AAMAAABk",
	];
	test.each<[string, ...string[]]>([
		["host", "GET / HTTP/1.1", "Host: 49982-iabc00000000000000000.localhost"],
		["host with a port", "GET / HTTP/1.1", "Host: 49982-iabc00000000000000000.localhost:49983"],
		["upper case host", "GET / HTTP/1.1", "HOST: 49982-IABC00000000000000000.LOCALHOST"],
		["headers", "GET / HTTP/1.1", "Host: localhost", id, "E2b-Sandbox-Port: 49982"],
		["padded header", "GET / HTTP/1.1", "Host: localhost", id, "E2b-Sandbox-Port:   49982\t"],
		["hexadecimal", "GET / HTTP/1.1", "Host: localhost", id, "E2b-Sandbox-Port: 0xc33e"],
		["fraction", "GET / HTTP/1.1", "Host: localhost", id, "E2b-Sandbox-Port: 49982.0"],
		["sign", "GET / HTTP/1.1", "Host: localhost", id, "E2b-Sandbox-Port: +49982"],
		["overflow", "GET / HTTP/1.1", "Host: localhost", id, "E2b-Sandbox-Port: 115518"],
		["two port headers", "GET / HTTP/1.1", "Host: localhost", id, "E2b-Sandbox-Port: 49983", "E2b-Sandbox-Port: 49982"],
		["two hosts", "GET / HTTP/1.1", "Host: 49983-iabc00000000000000000.localhost", "Host: 49982-iabc00000000000000000.localhost"],
		[
			"absolute target",
			"GET http://49982-iabc00000000000000000.localhost/ HTTP/1.1",
			"Host: 49983-iabc00000000000000000.localhost",
		],
		["h2c upgrade", "GET / HTTP/1.1", "Host: 49982-iabc00000000000000000.localhost", ...upgrade("h2c")],
		["WebSocket upgrade", "GET /init HTTP/1.1", "Host: 49982-iabc00000000000000000.localhost", ...upgrade("websocket")],
		["CONNECT", "CONNECT 49982-iabc00000000000000000.localhost:49982 HTTP/1.1", "Host: 49983-iabc00000000000000000.localhost"],
		["prior knowledge of HTTP/2", "PRI * HTTP/2.0", "", "SM"],
	])("is not reached by %s", async (_name, start, ...rest) => {
		const lines = [start, ...rest.slice(0, 1), "Connection: close", ...rest.slice(1)];
		const answer = await rawRequest(edge.port, ...lines);
		expect(answer).not.toMatch(/^HTTP\/1\.1 [125]/);
		expect(controlPort.requests).toEqual([]);
	});

	test("is refused without waking the sandbox", async () => {
		const answer = await fetch(edge.url, { headers: routing("iabc00000000000000000", CONTROL_PORT) });
		expect(answer.status).toBe(403);
		expect(await answer.json()).toMatchObject({ sandboxId: "iabc00000000000000000", port: CONTROL_PORT, code: 403 });
		expect(edge.control.asked).toEqual([]);
	});
});

describe("a second request hidden in the first", () => {
	const hidden = "POST /init HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
	const host = "Host: 49983-iabc00000000000000000.localhost";

	test.each<[string, string[]]>([
		["length and chunks", ["Content-Length: 4", "Transfer-Encoding: chunked", "", `0\r\n\r\n${hidden}`]],
		["two lengths", ["Content-Length: 0", `Content-Length: ${hidden.length}`, "", hidden]],
		["an obscured encoding", ["Transfer-Encoding: xchunked", "", `0\r\n\r\n${hidden}`]],
		["a space before the colon", ["Transfer-Encoding : chunked", "", `0\r\n\r\n${hidden}`]],
		["a folded line", ["X: y", " Transfer-Encoding: chunked", "", `0\r\n\r\n${hidden}`]],
		["a bare line feed", ["X: y\nTransfer-Encoding: chunked", "", `0\r\n\r\n${hidden}`]],
	])("by %s does not reach the agent as a request", async (_name, lines) => {
		await rawRequest(edge.port, "POST /outer HTTP/1.1", host, "Connection: close", ...lines);
		expect(agent.requests.filter((req) => req.url !== "/outer")).toEqual([]);
	});

	test.each(["h2c", "H2C , h2c"])(
		"behind an upgrade to %j is not served: it is ignored and the connection ends",
		async (protocols) => {
			const connection = rawConnection(edge.port);
			const upgrade = `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocols}\r\nHTTP2-Settings: AAMAAABk`;
			connection.socket.write(
				`GET /a HTTP/1.1\r\n${host}\r\n${upgrade}\r\n\r\nGET /b HTTP/1.1\r\nHost: 49982-iabc00000000000000000.localhost\r\n\r\n`,
			);
			expect(await connection.end).toBe("fin");
			expect(connection.received()).toMatch(/200 OK[\s\S]*Connection: close[\s\S]*agent$/);
			expect(agent.requests[0]?.headers).not.toHaveProperty("upgrade");
			expect(controlPort.requests).toEqual([]);
			connection.socket.destroy();
		},
	);

	test("behind an upgrade with a body stays that body", async () => {
		const answer = await rawRequest(
			edge.port,
			"POST /outer HTTP/1.1",
			host,
			"Connection: Upgrade, close",
			"Upgrade: websocket",
			`Content-Length: ${hidden.length}`,
			"",
			hidden.slice(0, -4),
		);
		expect(answer).toContain("agent");
		expect(agent.requests.map((req) => req.url)).toEqual(["/outer"]);
	});
});

describe("an upgrade behind a request that is still being answered", () => {
	test.each(["iabc00000000000000000", "inone0000000000000000"])(
		"ends that connection and nothing else: %s",
		async (sandboxId) => {
			agent.server.removeAllListeners("request").on("request", (_req, res) => res.writeHead(200).write("slow"));
			const connection = rawConnection(edge.port);
			connection.socket.write("GET / HTTP/1.1\r\nHost: 49983-iabc00000000000000000.localhost\r\n\r\n");
			await connection.until("slow");
			const upgrade = "Connection: Upgrade\r\nUpgrade: websocket";
			connection.socket.write(`GET / HTTP/1.1\r\nHost: 49983-${sandboxId}.localhost\r\n${upgrade}\r\n\r\n`);
			await connection.end;
			expect((await fetch(edge.url)).status).toBe(200);
			connection.socket.destroy();
		},
	);
});

describe("answers of the edge", () => {
	const ask = async (headers: Record<string, string>, path = "/") => {
		const answer = await fetch(edge.url + path, { headers });
		const json = answer.headers.get("content-type")?.includes("json") === true;
		return [answer.status, json ? await answer.json() : await answer.text()];
	};

	test("name what is wrong with the address", async () => {
		expect(await ask({ "E2b-Sandbox-Id": "iabc00000000000000000" })).toEqual([400, "missing header"]);
		expect(await ask(routing("iabc00000000000000000", 70_000))).toEqual([400, "Invalid sandbox port"]);
		expect(await ask(routing("no_dash", 80))).toEqual([400, "Invalid sandbox ID"]);
	});

	test.each(["10-0-0-5.nip.io", "2-node.example.com", "3d-lab.example.com", "8000-iabc.sbx.test"])(
		"are not given for the server's own name %s: it is the API's, and headers count there",
		async (host) => {
			const own = ["GET / HTTP/1.1", `Host: ${host}`, "Connection: close"];
			expect(await rawRequest(edge.port, ...own)).toMatch(/x-room: api/);
			const routed = Object.entries(routing("iabc00000000000000000", 49983)).map(([name, value]) => `${name}: ${value}`);
			expect(await rawRequest(edge.port, ...own, ...routed)).toMatch(/agent$/);
		},
	);

	test("tell a missing sandbox from a closed port", async () => {
		expect(await ask(routing("inone0000000000000000", 80))).toEqual([
			502,
			{ sandboxId: "inone0000000000000000", message: "The sandbox was not found", code: 502 },
		]);
		expect(await ask(routing("iabc00000000000000000", 1))).toEqual([
			502,
			{ sandboxId: "iabc00000000000000000", message: "The sandbox is running but port is not open", port: 1, code: 502 },
		]);
	});

	test("guard every port but the agent's with the traffic token", async () => {
		await using web = await openGuest((_req, res) => res.end("web"));
		edge.control.run("iweb", { trafficToken: "right" });
		const target = routing("iweb", web.port);
		const start = "Sandbox is secured with traffic access token.";
		const header = "header 'e2b-traffic-access-token'";
		expect(await ask(target)).toEqual([403, { sandboxId: "iweb", message: `${start} Token ${header} is missing`, code: 403 }]);
		expect(await ask({ ...target, "e2b-traffic-access-token": "wrong" })).toEqual([
			403,
			{ sandboxId: "iweb", message: `${start} Provided token in ${header} is invalid`, code: 403 },
		]);
		expect(await ask({ ...target, "E2B-Traffic-Access-Token": "right" })).toEqual([200, "web"]);
		const { address } = agent.server.address() as { address: string };
		edge.control.run("iabc00000000000000000", { address, trafficToken: "right" });
		expect(await ask(routing("iabc00000000000000000", 49983))).toEqual([200, "agent"]);
	});

	test("hide the agent's control paths", async () => {
		const path = "/%69nit?x=1";
		expect(await ask(routing("iabc00000000000000000", 49983), path)).toMatchObject([404, { path, code: 404 }]);
	});

	test("pass on what control decided", async () => {
		edge.control.set("iforbidden", { kind: "forbidden" });
		edge.control.set("imoving", { kind: "transitioning" });
		edge.control.set("ilimit", { kind: "limit", message: "Sandbox limit reached" });
		expect(await ask(routing("iforbidden", 80))).toMatchObject([403, { code: 403 }]);
		expect(await ask(routing("imoving", 80))).toMatchObject([409, { code: 409 }]);
		expect(await ask(routing("ilimit", 80))).toMatchObject([429, { message: "Sandbox limit reached", code: 429 }]);
	});

	test("hold a request while control decides", async () => {
		let decide: (value: unknown) => void = () => {};
		edge.control.hold = new Promise((resolve) => {
			decide = resolve;
		});
		const answer = ask({ ...routing("iabc00000000000000000", 49983), "X-Access-Token": "tok" });
		await expect.poll(() => edge.control.asked.length).toBe(1);
		expect(edge.control.asked[0]).toEqual({
			sandboxId: "iabc00000000000000000",
			port: 49983,
			accessToken: "tok",
			trafficToken: undefined,
			preflight: false,
		});
		decide(undefined);
		expect(await answer).toEqual([200, "agent"]);
	});

	test("stand for the agent of a sleeping sandbox where a browser asks what a page may send", async () => {
		edge.control.set("iasleep", { kind: "asleep" });
		const asked = { Origin: "https://page.example", "Access-Control-Request-Method": "POST" };
		const headers = { ...routing("iasleep", 49983), ...asked, "Access-Control-Request-Headers": "x-access-token,content-type" };
		const answer = await fetch(`${edge.url}/files?path=x`, { method: "OPTIONS", headers });
		expect([answer.status, await answer.text()]).toEqual([204, ""]);
		expect(Object.fromEntries(answer.headers)).toMatchObject({
			"access-control-allow-origin": "*",
			"access-control-allow-methods": "HEAD, GET, POST, PUT, PATCH, DELETE",
			"access-control-allow-headers": "x-access-token,content-type",
			"access-control-max-age": "7200",
		});
		expect(answer.headers.has("content-length")).toBe(false);
		await fetch(edge.url, { method: "OPTIONS", headers: { ...headers, ...routing("iasleep", 8000) } });
		await fetch(edge.url, { headers });
		await fetch(edge.url, { method: "OPTIONS", headers: routing("iasleep", 49983) });
		// No page's, but the agent takes it for one as well.
		const { Origin: _, ...withoutOrigin } = headers;
		await fetch(edge.url, { method: "OPTIONS", headers: withoutOrigin });
		expect(edge.control.asked.map(({ preflight }) => preflight)).toEqual([true, false, false, false, true]);
	});

	test("stop one sandbox from taking all connections", async () => {
		agent.server.removeAllListeners("request").on("request", () => {});
		const leaving = new AbortController();
		for (let count = 0; count < 3; count++) {
			fetch(edge.url, { headers: routing("iabc00000000000000000", 49983), signal: leaving.signal }).catch(() => {});
		}
		await expect.poll(() => edge.control.asked.length).toBe(3);
		expect(await ask(routing("iabc00000000000000000", 49983))).toMatchObject([429, { connectionLimit: 3, code: 429 }]);
		leaving.abort();
	});

	test("are pages for people and JSON for programs", async () => {
		const agentHeader = { "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", ...routing("inone0000000000000000", 80) };
		// Node's fetch adds fields by which it is told from a page's navigation.
		const answerTo = (more: Record<string, string>) =>
			rawRequest(
				edge.port,
				"GET / HTTP/1.1",
				"Host: localhost",
				"Connection: close",
				...Object.entries({ ...agentHeader, ...more }).map(([name, value]) => `${name}: ${value}`),
			);
		const typeFor = async (more: Record<string, string>) =>
			/content-type: (?:text|application)\/(\w+)/i.exec(await answerTo(more))?.[1];
		expect(await answerTo({ Accept: "text/html,*/*" })).toMatch(/text\/html[\s\S]*The sandbox was not found/);
		for (const more of [{ Accept: "*/*", "Sec-Fetch-Dest": "document" }, { "Sec-Fetch-Mode": "navigate" }]) {
			expect([more, await typeFor(more)]).toEqual([more, "html"]);
		}
		const programs = [
			{ Accept: "application/json, text/html" },
			{ Accept: "*/*", "Sec-Fetch-Dest": "empty" },
			{ Accept: "text/html", "Sec-Fetch-Dest": "script" },
			{ Accept: "*/*", "Sec-Fetch-Mode": "cors" },
			// Over plain HTTP this is all that a page's own fetch says of itself.
			{ Accept: "*/*" },
			{ "User-Agent": "curl/8.5.0" },
			{ "User-Agent": "node" },
			{ "User-Agent": "python-httpx/0.28" },
		];
		for (const more of programs) expect([more, await typeFor(more)]).toEqual([more, "json"]);
	});

	test("to a failed wake carry control's advice whether to come again", async () => {
		const refusals = [
			[new OffshootError("busy", "no room", { retryAfterSeconds: 5, shouldRetry: true }), 503, "5", "true"],
			[new OffshootError("timed_out", "agent is stopped", { shouldRetry: false }), 504, null, "false"],
			[new OffshootError("internal", "broken"), 500, null, null],
		] as const;
		for (const [error, status, retryAfter, shouldRetry] of refusals) {
			edge.control.hold = Promise.reject(error);
			edge.control.hold.catch(() => {});
			const answer = await fetch(edge.url, { headers: routing("iabc00000000000000000", 80) });
			expect([answer.status, answer.headers.get("retry-after"), answer.headers.get("should-retry")]).toEqual([
				status,
				retryAfter,
				shouldRetry,
			]);
		}
		edge.control.hold = Promise.resolve();
		edge.control.set("ilimit", { kind: "limit", message: "Sandbox limit reached" });
		expect((await fetch(edge.url, { headers: routing("ilimit", 80) })).headers.get("should-retry")).toBe("false");
	});

	test("to what is not HTTP are JSON too", async () => {
		const answer = await rawRequest(edge.port, "\x16\x03\x01 this is not HTTP");
		expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*{"code":400,/);
	});
});

test("a body's length counts behind a thousand other fields too", async () => {
	const received = Promise.withResolvers<string>();
	const raw = createServer((socket) => {
		let bytes = "";
		socket
			.on("error", () => {})
			.on("data", (chunk) => {
				bytes += chunk;
				if (bytes.endsWith("abc")) received.resolve(bytes);
			});
	}).listen(0, "127.0.0.1");
	await once(raw, "listening");
	const bound = raw.address();
	if (bound === null || typeof bound === "string") throw new Error("no port");
	edge.control.run("iraw00000000000000000");
	const client = rawConnection(edge.port);
	const many = Array.from({ length: 1010 }, () => "a: b");
	const head = ["POST / HTTP/1.1", `Host: ${bound.port}-iraw00000000000000000.localhost`, ...many, "Content-Length: 3"];
	client.socket.write(`${head.join("\r\n")}\r\n\r\nabc`);
	expect(await received.promise).toContain("\r\nContent-Length: 3\r\n");
	client.socket.destroy();
	raw.close();
});
