import { once } from "node:events";
import { createServer as createHttp, type IncomingMessage, request, type Server } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { Injector } from "./injector.ts";

const SECRETS = { Authorization: "Bearer s3cret", "X-Key": "k" };
let site: Server;
let door: ReturnType<typeof createServer>;
let connections: number;
/** Methods of requests that the site took and cut. */
let dropped: string[];

/** Long enough for every request of these tests to begin. */
const HEAD_TIMEOUT_MS = 2_000;

const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;

beforeEach(async () => {
	connections = 0;
	dropped = [];
	site = createHttp(async (req, res) => {
		if (req.url === "/silent") return;
		if (req.url === "/drop") {
			dropped.push(req.method ?? "");
			req.socket.destroy();
			return;
		}
		if (req.url === "/cut") return void res.write("some", () => res.destroy());
		const body = await text(req);
		res.writeHead(201, ["Set-Cookie", "a=1", "Set-Cookie", "b=2"]);
		res.end(JSON.stringify({ url: req.url, headers: req.headers, raw: req.rawHeaders, body }));
	}).listen(0, "127.0.0.1");
	await once(site, "listening");
	const injector = new Injector(HEAD_TIMEOUT_MS);
	door = createServer({ allowHalfOpen: true }, (socket) => {
		socket.on("error", () => {});
		const connectToSite = async (): Promise<Socket> => {
			connections++;
			const upstream = connect(portOf(site), "127.0.0.1");
			await once(upstream, "connect");
			return upstream;
		};
		injector.take(socket, { name: "api.test", headers: SECRETS, connect: connectToSite });
	}).listen(0, "127.0.0.1");
	await once(door, "listening");
});

afterEach(() => {
	site.closeAllConnections();
	site.close();
	door.close();
});

interface Told {
	readonly url: string;
	readonly headers: Record<string, string>;
	readonly raw: readonly string[];
	readonly body: string;
}

async function ask(options: { path?: string; method?: string; headers?: Record<string, string> }, body?: string) {
	const call = request({
		port: portOf(door),
		host: "127.0.0.1",
		agent: false,
		...options,
		headers: { host: "api.test", ...options.headers },
	});
	call.end(body);
	const [response]: IncomingMessage[] = await once(call, "response");
	if (response === undefined) throw new Error("no answer");
	return { response, told: JSON.parse(await text(response)) as Told };
}

test("adds fields once, in place of what the guest sent, and passes everything else on", async () => {
	const sent = { authorization: "guest", "x-own": "1", connection: "close, X-Key" };
	const { response, told } = await ask({ path: "/a?b", method: "POST", headers: sent }, "body");
	expect(told).toMatchObject({
		url: "/a?b",
		body: "body",
		headers: { authorization: "Bearer s3cret", "x-key": "k", "x-own": "1" },
	});
	expect(told.raw.filter((name) => /^(authorization|host|x-key)$/i.test(name))).toHaveLength(3);
	expect([response.statusCode, response.headers["set-cookie"]]).toEqual([201, ["a=1", "b=2"]]);
});

test.each([
	["API.test.", "api.test"],
	["api.test.:80", "api.test:80"],
])("a host written %j is asked as %j: another of its sites may go by that", async (host, asked) => {
	expect((await ask({ headers: { host } })).told.headers.host).toBe(asked);
});

test("a request for another host, for two, or to be shown what was added, is not carried", async () => {
	const raw = async (...lines: string[]) => {
		const socket = connect(portOf(door), "127.0.0.1");
		socket.write(`${lines.join("\r\n")}\r\n\r\n`);
		return (await text(socket)).slice(0, 12);
	};
	expect(await raw("GET / HTTP/1.1", "Host: api.test:80", "Connection: close")).toBe("HTTP/1.1 201");
	expect(await raw("GET http://api.test/x HTTP/1.1", "Host: api.test", "Connection: close")).toBe("HTTP/1.1 201");
	const before = connections;
	expect(await raw("GET / HTTP/1.1", "Host: other.test")).toBe("HTTP/1.1 421");
	expect(await raw("GET http://other.test/ HTTP/1.1", "Host: api.test")).toBe("HTTP/1.1 421");
	expect(await raw("TRACE / HTTP/1.1", "Host: api.test")).toBe("HTTP/1.1 405");
	expect(await raw("CONNECT api.test:80 HTTP/1.1", "Host: api.test")).not.toContain("HTTP/1.1 2");
	expect(await raw("GET / HTTP/1.1", "Host: api.test", "Host: other.test")).toMatch(/HTTP\/1.1 4/);
	expect(connections).toBe(before);
});

test("what Node cannot send on ends its connection alone, and nobody sends without end ahead of the answers", async () => {
	const send = async (bytes: string) => {
		const socket = connect(portOf(door), "127.0.0.1");
		socket.on("error", () => {});
		socket.write(bytes, "latin1");
		return text(socket).catch(() => "");
	};
	const head = "Host: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
	expect(await send("GET /\u00e9\u0080 HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n")).toMatch(/^(HTTP\/1.1 400|$)/);
	expect(await send(`GET /\u00e9\u0080 HTTP/1.1\r\n${head}`)).toMatch(/^(HTTP\/1.1 400|$)/);
	await send("GET /silent HTTP/1.1\r\nHost: api.test\r\n\r\n".repeat(2_000));
	expect(connections).toBeLessThanOrEqual(1);
	const pipelined = await send(
		`${"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n".repeat(9)}GET / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n`,
	);
	expect(pipelined.match(/HTTP\/1.1 201/g)).toHaveLength(10);
	expect(connections).toBeLessThanOrEqual(2);
	expect((await ask({})).response.statusCode).toBe(201);
});

test("requests of one connection share one to the host, also when that was closed meanwhile", async () => {
	const socket = connect(portOf(door), "127.0.0.1");
	const get = async () => {
		socket.write("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n");
		let received = "";
		while (!received.includes("s3cret")) received += (await once(socket, "data"))[0];
	};
	await get();
	await get();
	expect(connections).toBe(1);
	site.closeAllConnections();
	await get();
	expect(connections).toBe(2);
	socket.destroy();
});

test.each([
	["GET", ["GET", "GET"]],
	["POST", ["POST"]],
])("a %s that a kept connection took and did not answer reaches the host as %j", async (method, sent) => {
	const socket = connect(portOf(door), "127.0.0.1");
	socket.write("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n");
	let received = "";
	while (!received.includes("s3cret")) received += (await once(socket, "data"))[0];
	socket.write(`${method} /drop HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n`);
	expect(await text(socket)).toContain("HTTP/1.1 502");
	expect(dropped).toEqual(sent);
});

describe("a host that switches to a protocol nobody asked for", () => {
	const SWITCH = "HTTP/1.1 101 Switching Protocols\r\n";
	const head = (...fields: string[]) => `${["GET / HTTP/1.1", "Host: api.test", ...fields].join("\r\n")}\r\n\r\n`;

	/** What a guest is told when the host answers with these bytes and leaves the connection open. */
	async function told(answer: string, sent: string): Promise<string> {
		site.removeAllListeners("connection");
		site.on("connection", (socket) => {
			socket.on("error", () => {});
			socket.once("data", () => socket.write(answer));
		});
		const socket = connect(portOf(door), "127.0.0.1");
		socket.write(sent);
		return text(socket);
	}

	test.each([
		["and says to which", `${SWITCH}Connection: Upgrade\r\nUpgrade: other\r\n\r\nbytes of it`],
		["and does not say to which", `${SWITCH}\r\n`],
	])("%s, has given no answer: the guest is told so", async (_how, answer) => {
		const answered = await told(answer, head());
		expect(answered).toMatch(/^HTTP\/1.1 502 /);
		expect(answered).toContain("api.test switched to a protocol that nobody had asked for");
	});

	test("asked to switch, but not told to what, ends the guest's connection", async () => {
		expect(await told(`${SWITCH}\r\n`, head("Connection: Upgrade", "Upgrade: websocket"))).toBe("");
	});
});

test("an answer that breaks off at the host breaks off at the guest", async () => {
	const call = request({
		port: portOf(door),
		host: "127.0.0.1",
		path: "/cut",
		headers: { host: "api.test" },
		agent: false,
	}).end();
	const [response]: IncomingMessage[] = await once(call, "response");
	if (response === undefined) throw new Error("no answer");
	await expect(text(response)).rejects.toThrow();
});

test("a WebSocket's opening request gets the fields, and its bytes go both ways", async () => {
	const sockets = new WebSocketServer({ server: site });
	sockets.on("connection", (socket, { headers }) =>
		socket.on("message", (data) => socket.send(`${data} ${headers.authorization} ${headers.upgrade}`)),
	);
	const headers = { host: "api.test", upgrade: "h2c, websocket" };
	const socket = new WebSocket(`ws://127.0.0.1:${portOf(door)}/chat`, { headers });
	await once(socket, "open");
	socket.send("hello");
	expect(String((await once(socket, "message"))[0])).toBe("hello Bearer s3cret websocket");
	socket.terminate();
});

test("a head that trickles in without end is not waited for, also after an answer", async () => {
	const socket = connect(portOf(door), "127.0.0.1");
	socket.write("GET /first HTTP/1.1\r\nHost: api.test\r\n\r\nGET /second HTTP/1.1\r\nHost: api.test\r\nX-Slow: ");
	const trickle = setInterval(() => socket.write("a"), 100);
	try {
		const answered = await text(socket);
		expect(answered.match(/^HTTP/gm)).toHaveLength(1);
	} finally {
		clearInterval(trickle);
		socket.destroy();
	}
});
