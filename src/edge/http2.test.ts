import { createHash } from "node:crypto";
import { once } from "node:events";
import {
	type ClientHttp2Session,
	type ClientHttp2Stream,
	connect,
	constants,
	type IncomingHttpHeaders,
	type OutgoingHttpHeaders,
} from "node:http2";
import { get } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { CONTROL_PORT } from "../protocol/index.ts";
import { type FakeGuest, type OpenEdge, openEdge, openGuest, ownAddress, routing } from "./fixture.ts";

let edge: OpenEdge;
let guest: FakeGuest;
let client: ClientHttp2Session;

beforeEach(async () => {
	edge = await openEdge({}, async (req, res) => {
		res.setHeader("x-room", "api");
		res.end(`${req.method} ${req.url} ${await text(req)}`);
	});
	guest = await openGuest((req, res) => {
		if (req.url === "/silent") return;
		if (req.url === "/stream") {
			res.writeHead(200);
			res.write("first");
			return;
		}
		if (req.method === "HEAD") {
			res.end();
			return;
		}
		res.writeHead(201, ["Set-Cookie", "a=1", "Set-Cookie", "b=2", "Connection", "keep-alive", "Trailer", "X-Sum"]);
		req.pipe(res, { end: false });
		req.once("end", () => {
			res.addTrailers({ "X-Sum": "done" });
			res.end();
		});
	});
	edge.control.run("iabc00000000000000000");
	client = connect(edge.tlsUrl, { rejectUnauthorized: false });
});

afterEach(async () => {
	client.destroy();
	await edge[Symbol.asyncDispose]();
	await guest[Symbol.asyncDispose]();
});

const host = (sandboxId = "iabc00000000000000000", port = guest.port) => `${port}-${sandboxId}.sbx.test`;

interface Outcome {
	readonly headers: Record<string, unknown>;
	readonly body: string;
	readonly trailers: Record<string, unknown>;
	/** 0 when the stream ended well. */
	readonly code: number;
	/** The body was declared complete. */
	readonly complete: boolean;
}

function send(headers: OutgoingHttpHeaders, body?: string): { stream: ClientHttp2Stream; outcome: Promise<Outcome> } {
	const stream = client.request({ ":authority": host(), ...headers }, { endStream: body === undefined });
	if (body !== undefined) stream.end(body);
	const outcome = { headers: {}, body: "", trailers: {}, complete: false };
	stream.on("response", (answer) => Object.assign(outcome, { headers: answer }));
	stream.on("trailers", (trailers) => Object.assign(outcome, { trailers }));
	stream.on("data", (chunk) => {
		outcome.body += chunk;
	});
	stream.on("end", () => {
		outcome.complete = stream.rstCode === 0;
	});
	stream.on("error", () => {});
	const { promise, resolve } = Promise.withResolvers<Outcome>();
	stream.once("close", () => resolve({ ...outcome, code: stream.rstCode ?? 0 }));
	return { stream, outcome: promise };
}

const ask = (headers: OutgoingHttpHeaders, body?: string) => send(headers, body).outcome;

describe("a request over HTTP/2", () => {
	test("reaches the guest as one of HTTP/1.1, and the answer comes back whole", async () => {
		const body = "x".repeat(3_000_000);
		const request = { ":method": "POST", ":path": "/a?b=1", cookie: ["c=1", "d=2"], "x-y": "z", te: "trailers" };
		const answer = await ask(request, body);
		expect(answer).toMatchObject({
			headers: { ":status": 201, "set-cookie": ["a=1", "b=2"] },
			trailers: { "x-sum": "done" },
			code: 0,
		});
		expect(answer.body === body).toBe(true);
		expect(answer.headers).not.toHaveProperty("connection");
		const [seen] = guest.requests;
		expect([seen?.method, seen?.url, seen?.httpVersion]).toEqual(["POST", "/a?b=1", "1.1"]);
		expect(seen?.headers).toMatchObject({
			host: host(),
			cookie: "c=1; d=2",
			"x-y": "z",
			"x-forwarded-proto": "https",
			"transfer-encoding": "chunked",
		});
		expect(seen?.rawHeaders.filter((name) => name.startsWith(":"))).toEqual([]);
	});

	test("keeps the length that the client gave, and has none without a body", async () => {
		await ask({ ":method": "PUT", "content-length": 4 }, "four");
		await ask({ ":method": "HEAD" });
		expect(guest.requests.map(({ headers }) => [headers["content-length"], headers["transfer-encoding"]])).toEqual([
			["4", undefined],
			[undefined, undefined],
		]);
	});

	test("goes by routing headers on the shared host, and to the API without them", async () => {
		const shared = { ":authority": "sandbox.sbx.test" };
		expect((await ask({ ...shared, ...routing("iabc00000000000000000", guest.port) })).headers[":status"]).toBe(201);
		expect(await ask({ ":authority": "api.sbx.test", ":method": "POST", ":path": "/sandboxes" }, "{}")).toMatchObject({
			headers: { ":status": 200, "x-room": "api" },
			body: "POST /sandboxes {}",
		});
	});

	test("is one of more than a hundred on a connection", async () => {
		const streams = Array.from({ length: 120 }, () => send({ ":path": "/stream" }).stream);
		await Promise.all(streams.map((stream) => once(stream, "data")));
		expect(client.remoteSettings.maxConcurrentStreams).toBeGreaterThanOrEqual(100);
	});

	test.each([204, 205, 304])("is answered %i without the body that the guest sends all the same", async (status) => {
		const wrong = createServer((socket) => {
			socket.once("data", () => socket.end(`HTTP/1.1 ${status} Wrong\r\nX-Y: z\r\nContent-Length: 4\r\n\r\nbody`));
			socket.on("error", () => {});
		}).listen(0, "127.0.0.1");
		await once(wrong, "listening");
		const { port } = wrong.address() as AddressInfo;
		const answer = await ask({ ":authority": host("iabc00000000000000000", port) });
		wrong.close();
		expect(answer).toMatchObject({ headers: { ":status": status, "x-y": "z" }, body: "", code: 0, complete: true });
	});

	test("tells the guest when its client leaves", async () => {
		const { stream, outcome } = send({ ":path": "/stream" });
		await once(stream, "data");
		const left = once(guest.requests[0]?.socket ?? guest.server, "close");
		stream.close(8);
		await Promise.all([outcome, left]);
	});

	test("that its guest never reads stops the client", async () => {
		guest.server.removeAllListeners("request").on("request", (req) => req.pause());
		const stream = client.request({ ":authority": host(), ":method": "POST" });
		stream.on("error", () => {});
		let sent = 0;
		const block = Buffer.alloc(1 << 20);
		while (sent < 200 && (stream.write(block) || (await Promise.race([once(stream, "drain"), pause(500)])))) sent += 1;
		expect(sent).toBeLessThan(100);
	});
});

const pause = (ms: number) => new Promise<false>((resolve) => setTimeout(() => resolve(false), ms));

describe("when a sandbox ends", () => {
	test("its streams are reset with INTERNAL_ERROR, those of others on the same connection go on", async () => {
		edge.control.run("iother000000000000000");
		let goneAway = false;
		client.on("goaway", () => {
			goneAway = true;
		});
		const mine = send({ ":path": "/stream" });
		const other = send({ ":path": "/stream", ":authority": host("iother000000000000000") });
		await Promise.all([once(mine.stream, "data"), once(other.stream, "data")]);
		edge.control.kill("iabc00000000000000000");
		expect(await mine.outcome).toMatchObject({ headers: { ":status": 200 }, body: "first", complete: false, code: 2 });
		expect((await ask({ ":authority": host("iother000000000000000") })).headers[":status"]).toBe(201);
		expect([other.stream.destroyed, goneAway, client.closed]).toEqual([false, false, false]);
	});

	test("a stream is reset in the middle of an upload too", async () => {
		const stream = client.request({ ":authority": host(), ":path": "/stream", ":method": "POST" });
		stream.write("x".repeat(100_000));
		await once(stream, "data");
		edge.control.kill("iabc00000000000000000");
		await expect(once(stream, "close")).rejects.toThrow("INTERNAL_ERROR");
	});

	test("a request without an answer yet is answered 502", async () => {
		const { outcome } = send({ ":path": "/silent" });
		await once(guest.server, "request");
		edge.control.kill("iabc00000000000000000");
		const { headers, body, code } = await outcome;
		expect([headers[":status"], headers["access-control-allow-origin"], code]).toEqual([502, "*", 0]);
		expect(JSON.parse(body)).toEqual({ sandboxId: "iabc00000000000000000", message: "The sandbox was not found", code: 502 });
	});
});

describe("the control port", () => {
	test.each<[string, OutgoingHttpHeaders]>([
		["authority", { ":authority": "49982-iabc00000000000000000.sbx.test" }],
		[
			"authority against the host",
			{ ":authority": "49983-iabc00000000000000000.sbx.test", host: "49982-iabc00000000000000000.sbx.test" },
		],
		[
			"host against the authority",
			{ ":authority": "49982-iabc00000000000000000.sbx.test", host: "49983-iabc00000000000000000.sbx.test" },
		],
		["routing headers", { ":authority": "sandbox.sbx.test", ...routing("iabc00000000000000000", 49982) }],
		[
			"absolute path",
			{ ":authority": "49983-iabc00000000000000000.sbx.test", ":path": "http://49982-iabc00000000000000000.sbx.test/" },
		],
	])("is not reached by %s", async (_name, headers) => {
		const address = ownAddress();
		await using control = await openGuest((_req, res) => res.end("control"), address, CONTROL_PORT);
		edge.control.run("iabc00000000000000000", { address });
		const { headers: answer, code } = await ask(headers);
		expect(code === 0 ? answer[":status"] : "refused").toBeOneOf([400, 403, "refused"]);
		expect(control.requests).toEqual([]);
	});

	test("is not reached by CONNECT", async () => {
		const { outcome } = send({ ":method": "CONNECT", ":authority": "49982-iabc00000000000000000.sbx.test:49982" });
		expect((await outcome).headers[":status"]).toBe(405);
	});
});

test.each([
	["49983-iabc00000000000000000.sbx.test", "h2"],
	["api.sbx.test", "h2"],
	["49999-iabc00000000000000000.sbx.test", "http/1.1"],
])("clients of %s that can do both get %s", async (servername, protocol) => {
	const { port, hostname: address } = new URL(edge.tlsUrl);
	const ALPNProtocols = ["h2", "http/1.1"];
	const socket = connectTls({ host: address, port: Number(port), servername, ALPNProtocols, rejectUnauthorized: false });
	await once(socket, "secureConnect");
	expect(socket.alpnProtocol).toBe(protocol);
	socket.destroy();
});

/** Node throws for a second value of these, and removes a date from no answer. */
const UNSENDABLE = ["Age", "Date"];

describe("a guest's answer that HTTP/2 has no room for", () => {
	/** Answers like this, byte by byte, whatever is asked. */
	async function answering(raw: string): Promise<AsyncDisposable & { readonly port: number }> {
		const server = createServer((socket) => socket.on("error", () => {}).once("data", () => socket.write(raw)));
		await once(server.listen(0, "127.0.0.1"), "listening");
		const bound = server.address();
		if (bound === null || typeof bound === "string") throw new Error("no port");
		return { port: bound.port, [Symbol.asyncDispose]: async () => void server.close() };
	}

	test.each(UNSENDABLE)("%s twice: is answered 502", async (field) => {
		await using raw = await answering(`HTTP/1.1 200 OK\r\n${field}: 1\r\n${field}: 2\r\nContent-Length: 0\r\n\r\n`);
		expect((await ask({ ":authority": host("iabc00000000000000000", raw.port) })).headers[":status"]).toBe(502);
	});

	test("fields of one connection, in head and trailers: are left out", async () => {
		const fields = "HTTP2-Settings: a\r\nTE: gzip\r\n";
		const head = `HTTP/1.1 200 OK\r\n${fields}Transfer-Encoding: chunked\r\n\r\n`;
		await using raw = await answering(`${head}2\r\nhi\r\n0\r\n${fields}Connection: x\r\nX-Sum: done\r\n\r\n`);
		const { headers, body } = await ask({ ":authority": host("iabc00000000000000000", raw.port) });
		expect([headers[":status"], body]).toEqual([200, "hi"]);
		expect(headers).not.toHaveProperty("http2-settings");
		expect((await ask({ ":path": "/" })).headers[":status"]).toBe(201);
	});
});

describe("a WebSocket on a stream of HTTP/2", () => {
	/** A short text message from a client, masked with zeros (RFC 6455 §5.2). */
	const masked = (text: string) => Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0, ...Buffer.from(text)]);
	const wish = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", ":path": "/chat?a=1" };

	async function open(headers: OutgoingHttpHeaders = {}): Promise<{ stream: ClientHttp2Stream; answer: IncomingHttpHeaders }> {
		if (client.remoteSettings?.enableConnectProtocol === undefined) await once(client, "remoteSettings");
		expect(client.remoteSettings.enableConnectProtocol).toBe(true);
		const stream = client.request({ ":authority": host(), ...wish, ...headers }, { endStream: false });
		stream.on("error", () => {});
		const [answer] = await once(stream, "response");
		return { stream, answer };
	}

	function echo(): WebSocketServer {
		const sockets = new WebSocketServer({ server: guest.server, handleProtocols: () => "shout" });
		sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(String(data).toUpperCase())));
		return sockets;
	}

	test("reaches the guest as an upgrade, and carries bytes both ways beside other streams", async () => {
		const upgraded = once(echo(), "connection");
		const { stream, answer } = await open({ "sec-websocket-protocol": "shout", cookie: "a=1", "x-y": "z" });
		expect(answer).toMatchObject({ ":status": 200, "sec-websocket-protocol": "shout" });
		expect(answer).not.toHaveProperty("sec-websocket-accept");
		const [, request] = await upgraded;
		expect([request.method, request.url, request.httpVersion]).toEqual(["GET", "/chat?a=1", "1.1"]);
		expect(request.headers).toMatchObject({ host: host(), cookie: "a=1", "x-y": "z", "x-forwarded-proto": "https" });
		stream.write(masked("hello"));
		const [frame] = await once(stream, "data");
		expect(frame.subarray(2).toString()).toBe("HELLO");
		expect((await ask({ ":path": "/" })).headers[":status"]).toBe(201);
		stream.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
		await once(stream.resume(), "close");
		expect(stream.rstCode).toBe(0);
	});

	test("is dropped when its sandbox ends, and nothing else of its connection", async () => {
		echo();
		edge.control.run("iother000000000000000");
		const { stream } = await open();
		edge.control.kill("iabc00000000000000000");
		await new Promise((resolve) => stream.resume().once("close", resolve));
		expect(stream.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
		expect((await ask({ ":authority": host("iother000000000000000") })).headers[":status"]).toBe(201);
	});

	test("is refused as any request is: by the guest, for a missing sandbox, without a token, at the control port", async () => {
		expect((await open()).answer[":status"]).toBe(502);
		expect((await open({ ":authority": host("inone0000000000000000") })).answer[":status"]).toBe(502);
		expect((await open({ ":authority": host("iabc00000000000000000", CONTROL_PORT) })).answer[":status"]).toBe(403);
		edge.control.run("iabc00000000000000000", { trafficToken: "secret" });
		expect((await open()).answer[":status"]).toBe(403);
	});

	test.each(UNSENDABLE)("that its guest accepts with %s ends by itself", async (field) => {
		guest.server.on("upgrade", (req, socket) => {
			const accept = createHash("sha1").update(`${req.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
			const fields = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept.digest("base64")}\r\n`;
			socket.end(`HTTP/1.1 101 Switching\r\n${fields}${field}: 1\r\n${field}: 2\r\n\r\n`);
		});
		expect((await open()).answer[":status"]).toBe(502);
		expect((await ask({ ":path": "/" })).headers[":status"]).toBe(201);
	});

	test("is the only thing that CONNECT can ask for", async () => {
		expect((await open({ ":protocol": "connect-udp" })).answer[":status"]).toBe(501);
		expect((await open({ ":authority": "api.sbx.test" })).answer[":status"]).toBe(405);
		expect((await ask({ ":method": "CONNECT", ":authority": "example.com:443" })).headers[":status"]).toBe(405);
	});
});

describe("HTTP/1.1 on the encrypted listener", () => {
	const options = () => ({ rejectUnauthorized: false, headers: { host: host() } });

	test("is served, and ended by a cut body when its sandbox ends", async () => {
		const call = get(`${edge.tlsUrl}/stream`, options());
		const [response] = await once(call, "response");
		await once(response, "data");
		expect(guest.requests[0]?.headers["x-forwarded-proto"]).toBe("https");
		edge.control.kill("iabc00000000000000000");
		const [error] = await once(response, "error");
		expect([error.code, response.complete]).toEqual(["ECONNRESET", false]);
	});

	test("carries WebSockets", async () => {
		const sockets = new WebSocketServer({ server: guest.server });
		sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(String(data).toUpperCase())));
		const socket = new WebSocket(edge.tlsUrl.replace("https", "wss"), options());
		await once(socket, "open");
		socket.send("hello");
		const [answer] = await once(socket, "message");
		expect(String(answer)).toBe("HELLO");
		edge.control.kill("iabc00000000000000000");
		expect((await once(socket, "close"))[0]).toBe(1006);
	});
});

test("closing the door lets streams end with an answer and closes their connection", async () => {
	const { outcome } = send({ ":path": "/silent" });
	await once(guest.server, "request");
	const closed = edge[Symbol.asyncDispose]();
	expect((await outcome).headers[":status"]).toBe(503);
	await closed;
	expect(client.destroyed || client.closed).toBe(true);
});
