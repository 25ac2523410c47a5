import { once } from "node:events";
import { request } from "node:http";
import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { type FakeGuest, type OpenEdge, openEdge, openGuest, rawConnection, routing } from "./fixture.ts";

let edge: OpenEdge;
let guest: FakeGuest;
const GONE = { sandboxId: "iabc00000000000000000", message: "The sandbox was not found", code: 502 };

beforeEach(async () => {
	edge = await openEdge();
	guest = await openGuest((req, res) => {
		if (req.url === "/silent") return;
		res.writeHead(200, req.url === "/sized" ? { "content-length": 1000 } : {});
		res.write("first");
	});
	edge.control.run("iabc00000000000000000");
});

afterEach(async () => {
	await edge[Symbol.asyncDispose]();
	await guest[Symbol.asyncDispose]();
});

const host = () => `Host: ${guest.port}-iabc00000000000000000.localhost`;

describe("a stream whose sandbox ends", () => {
	test.each(["/chunked", "/sized"])("is cut by FIN without being finished: %s", async (path) => {
		const connection = rawConnection(edge.port);
		connection.socket.write(`GET ${path} HTTP/1.1\r\n${host()}\r\n\r\n`);
		await connection.until("first");
		edge.control.kill("iabc00000000000000000");
		expect(await connection.end).toBe("fin");
		expect(connection.received()).not.toMatch(/\r\n0\r\n/);
		connection.socket.destroy();
	});

	test("is cut by FIN, not by a reset, while the client is sending", async () => {
		const connection = rawConnection(edge.port);
		connection.socket.write(`POST / HTTP/1.1\r\n${host()}\r\nTransfer-Encoding: chunked\r\n\r\n`);
		const block = `10000\r\n${"x".repeat(0x10000)}\r\n`;
		const flood = setInterval(() => connection.socket.write(block), 1);
		await connection.until("first");
		edge.control.kill("iabc00000000000000000");
		expect(await connection.end).toBe("fin");
		// Bytes sent after the FIN have to be swallowed too: a reset would fail these writes.
		let reset = false;
		connection.socket.once("error", () => {
			reset = true;
		});
		await new Promise((resolve) => setTimeout(resolve, 100));
		clearInterval(flood);
		expect(reset).toBe(false);
		connection.socket.destroy();
	});

	test("is cut by FIN when a request was already sent behind it, which is not passed on", async () => {
		const connection = rawConnection(edge.port);
		connection.socket.write(`GET /a HTTP/1.1\r\n${host()}\r\n\r\n`);
		await connection.until("first");
		edge.control.kill("iabc00000000000000000");
		edge.control.run("iabc00000000000000000", { incarnation: 2 });
		connection.socket.write(`POST /b HTTP/1.1\r\n${host()}\r\nContent-Length: 1\r\n\r\nx`);
		expect(await connection.end).toBe("fin");
		await new Promise((resolve) => setTimeout(resolve, 50));
		expect(guest.requests.map((req) => req.url)).toEqual(["/a"]);
		connection.socket.destroy();
	});

	test("leaves other sandboxes and other incarnations alone", async () => {
		edge.control.run("iother000000000000000");
		const other = rawConnection(edge.port);
		other.socket.write(`GET / HTTP/1.1\r\nHost: ${guest.port}-iother000000000000000.localhost\r\n\r\n`);
		await other.until("first");
		edge.control.kill("iabc00000000000000000");
		edge.control.run("iabc00000000000000000", { incarnation: 2 });
		const resumed = rawConnection(edge.port);
		resumed.socket.write(`GET / HTTP/1.1\r\n${host()}\r\n\r\n`);
		await resumed.until("first");
		edge.control.run("iabc00000000000000000", { incarnation: 2 });
		for (const announced of [0, 1]) edge.control.kill("iabc00000000000000000", announced);
		await new Promise((resolve) => setTimeout(resolve, 50));
		expect([other.socket.readyState, resumed.socket.readyState]).toEqual(["open", "open"]);
		other.socket.destroy();
		resumed.socket.destroy();
	});

	test("is cut by FIN when the guest's own connection breaks", async () => {
		const connection = rawConnection(edge.port);
		connection.socket.write(`GET / HTTP/1.1\r\n${host()}\r\n\r\n`);
		await connection.until("first");
		for (const req of guest.requests) req.socket.resetAndDestroy();
		expect(await connection.end).toBe("fin");
		expect(connection.received()).not.toMatch(/\r\n0\r\n/);
		connection.socket.destroy();
	});

	test("a client that never closes is let go in the end", async () => {
		const connection = rawConnection(edge.port);
		connection.socket.write(`GET / HTTP/1.1\r\n${host()}\r\n\r\n`);
		await connection.until("first");
		edge.control.kill("iabc00000000000000000");
		await connection.end;
		await once(connection.socket.end(), "close");
	});
});

describe("a request without an answer yet", () => {
	test("is answered 502 when its sandbox ends", async () => {
		const answer = fetch(`${edge.url}/silent`, { headers: routing("iabc00000000000000000", guest.port) });
		await once(guest.server, "request");
		edge.control.kill("iabc00000000000000000");
		expect((await answer).status).toBe(502);
		expect(await (await answer).json()).toEqual(GONE);
	});

	test("is answered 502 in the middle of its upload, and the connection goes on", async () => {
		const connection = rawConnection(edge.port);
		connection.socket.write(`POST /silent HTTP/1.1\r\n${host()}\r\nContent-Length: 10\r\n\r\n12345`);
		await once(guest.server, "request");
		edge.control.kill("iabc00000000000000000");
		await connection.until("The sandbox was not found");
		connection.socket.write(`67890GET /api HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
		expect(await connection.end).toBe("fin");
		expect(connection.received()).toContain("x-room: api");
		connection.socket.destroy();
	});

	test("is answered 502 when the sandbox ends while the port is being dialled", async () => {
		await guest[Symbol.asyncDispose]();
		const answer = fetch(edge.url, { headers: routing("iabc00000000000000000", guest.port) });
		await expect.poll(() => edge.control.asked.length).toBe(1);
		await new Promise((resolve) => setTimeout(resolve, 50));
		edge.control.kill("iabc00000000000000000");
		expect(await (await answer).json()).toEqual(GONE);
	});

	test("that was admitted to an incarnation which has just ended is admitted anew", async () => {
		edge.control.kill("iabc00000000000000000", 1);
		edge.control.run("iabc00000000000000000", { incarnation: 1 });
		const answer = await fetch(edge.url, { headers: routing("iabc00000000000000000", guest.port) });
		expect(await answer.json()).toEqual(GONE);
		edge.control.run("iabc00000000000000000", { incarnation: 2 });
		const again = await fetch(edge.url, { headers: routing("iabc00000000000000000", guest.port) });
		expect(again.status).toBe(200);
		await again.body?.cancel();
	});

	test("is answered 503, not 502, when the server stops: the sandbox lives on", async () => {
		const answer = fetch(`${edge.url}/silent`, { headers: routing("iabc00000000000000000", guest.port) });
		await once(guest.server, "request");
		const closed = edge[Symbol.asyncDispose]();
		expect((await answer).status).toBe(503);
		await (await answer).text();
		await closed;
	});

	test("is answered with the port's 502 when the guest breaks the connection", async () => {
		guest.server.removeAllListeners("request").on("request", (req) => req.socket.resetAndDestroy());
		const answer = await fetch(edge.url, { method: "POST", body: "x", headers: routing("iabc00000000000000000", guest.port) });
		expect(answer.status).toBe(502);
		expect(await answer.json()).toEqual({
			sandboxId: "iabc00000000000000000",
			message: "The sandbox is running but port is not open",
			port: guest.port,
			code: 502,
		});
	});
});

describe("a WebSocket", () => {
	let sockets: WebSocketServer;
	beforeEach(() => {
		sockets = new WebSocketServer({ server: guest.server });
		sockets.on("connection", (socket) => socket.on("message", (data, binary) => socket.send(data, { binary })));
	});

	const open = async (options = {}) => {
		const socket = new WebSocket(`ws://127.0.0.1:${edge.port}/ws?x=1`, {
			headers: routing("iabc00000000000000000", guest.port),
			...options,
		});
		await once(socket, "open");
		return socket;
	};

	test("carries messages of any size both ways", async () => {
		const socket = await open();
		for (const size of [1, 70_000, 3_000_000]) {
			socket.send(Buffer.alloc(size, "y"));
			const [data] = await once(socket, "message");
			expect((data as Buffer).length).toBe(size);
		}
		socket.close(4000, "done");
		const [code] = await once(socket, "close");
		expect(code).toBe(4000);
	});

	test("is ended by FIN when its sandbox ends, also while the client is sending", async () => {
		const socket = await open();
		let failure: unknown;
		socket.on("error", (error) => {
			failure = error;
		});
		const flood = setInterval(() => socket.readyState === WebSocket.OPEN && socket.send(Buffer.alloc(100_000)), 1);
		await once(socket, "message");
		edge.control.kill("iabc00000000000000000");
		const [code] = await once(socket, "close");
		clearInterval(flood);
		expect([code, failure]).toEqual([1006, undefined]);
	});

	test("to a sandbox that is not there is refused with the ordinary answer", async () => {
		edge.control.kill("iabc00000000000000000");
		const socket = new WebSocket(`ws://127.0.0.1:${edge.port}`, { headers: routing("iabc00000000000000000", guest.port) });
		const [, res] = await once(socket, "unexpected-response");
		expect(res.statusCode).toBe(502);
		res.resume();
	});

	test("that the guest declines ends with the guest's answer and the connection", async () => {
		sockets.close();
		guest.server.removeAllListeners("upgrade").removeAllListeners("request");
		guest.server.on("request", (_req, res) => res.writeHead(404, { "x-guest": "yes" }).end("no such socket"));
		const connection = rawConnection(edge.port);
		const upgrade = "Connection: Upgrade\r\nUpgrade: websocket";
		connection.socket.write(`GET / HTTP/1.1\r\n${host()}\r\n${upgrade}\r\n\r\nGET /smuggled HTTP/1.1\r\n${host()}\r\n\r\n`);
		expect(await connection.end).toBe("fin");
		expect(connection.received()).toContain("x-guest: yes");
		expect(connection.received()).toContain("no such socket");
		expect(guest.requests.map((req) => req.url)).toEqual([]);
		connection.socket.destroy();
	});
});

test("an upgraded connection passes raw bytes, first bytes and half closes", async () => {
	let offered: string | undefined;
	guest.server.on("upgrade", (req, socket: Socket, head) => {
		offered = req.headers.upgrade;
		socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ");
		socket.write(head);
		socket.on("data", (data) => socket.write(data));
		socket.on("end", () => socket.end("bye"));
	});
	// What runs over HTTP/2 the edge could not see.
	const wish = { Connection: "Upgrade", Upgrade: "h2c, echo" };
	const req = request(edge.url, { headers: { ...routing("iabc00000000000000000", guest.port), ...wish } });
	req.end();
	const [res, socket, head] = (await once(req, "upgrade")) as [unknown, Socket, Buffer];
	expect(res).toMatchObject({ statusCode: 101, headers: { upgrade: "echo" } });
	let received = head.toString();
	socket.on("data", (data) => {
		received += data;
	});
	socket.end("ping ");
	await once(socket, "end");
	expect([received, offered]).toEqual(["hello ping bye", "echo"]);
});
