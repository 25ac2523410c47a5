import { once } from "node:events";
import { request } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CONTROL_PORT } from "../protocol/index.ts";
import {
	type FakeGuest,
	type OpenEdge,
	openEdge,
	openGuest,
	ownAddress,
	rawConnection,
	rawRequest,
	routing,
	selfSigned,
} from "./fixture.ts";
import { signatureFor } from "./signed-files.ts";

let edge: OpenEdge;
let guest: FakeGuest;

beforeEach(async () => {
	edge = await openEdge();
	guest = await openGuest((req, res) => {
		res.setHeader("x-echo", JSON.stringify(req.rawHeaders));
		res.writeHead(200);
		req.pipe(res);
	});
	edge.control.run("iabc00000000000000000");
});

afterEach(async () => {
	await edge[Symbol.asyncDispose]();
	await guest[Symbol.asyncDispose]();
});

const to = (port = guest.port) => ({ headers: routing("iabc00000000000000000", port) });

describe("what reaches the guest", () => {
	test("method, path, query and body, with the forwarding headers and without the traffic token", async () => {
		const answer = await fetch(`${edge.url}/a%2Fb?c=%20d`, {
			method: "PUT",
			body: "payload",
			headers: { ...to().headers, "E2B-Traffic-Access-Token": "secret", "X-Forwarded-For": "10.9.8.7" },
		});
		expect(await answer.text()).toBe("payload");
		const [seen] = guest.requests;
		expect(seen).toMatchObject({ method: "PUT", url: "/a%2Fb?c=%20d" });
		expect(seen?.headers).toMatchObject({
			host: `127.0.0.1:${edge.port}`,
			"x-forwarded-host": `127.0.0.1:${edge.port}`,
			"x-forwarded-proto": "http",
			"x-forwarded-for": "10.9.8.7, 127.0.0.1",
		});
		expect(seen?.headers).not.toHaveProperty("e2b-traffic-access-token");
	});

	test("the masked host with the port filled in", async () => {
		edge.control.run("iabc00000000000000000", { maskRequestHost: `custom-host.example.com:$${"{PORT}"}` });
		await fetch(edge.url, to()).then((answer) => answer.text());
		expect(guest.requests[0]?.headers).toMatchObject({
			host: `custom-host.example.com:${guest.port}`,
			"x-forwarded-host": `127.0.0.1:${edge.port}`,
		});
	});

	test("fields named by Connection stay behind, the body's length does not", async () => {
		const answer = await rawRequest(
			edge.port,
			"POST / HTTP/1.1",
			`Host: ${guest.port}-iabc00000000000000000.localhost`,
			"Connection: close, X-Hop, Content-Length",
			"X-Hop: 1",
			"X-End: 2",
			"Content-Length: 4",
			"",
			"body",
		);
		expect(answer).toContain("body");
		expect(guest.requests[0]?.headers).toMatchObject({ "x-end": "2", "content-length": "4" });
		expect(guest.requests[0]?.headers).not.toHaveProperty("x-hop");
	});

	test("a chunked body keeps its framing also where HTTP clients would omit it", async () => {
		const answer = await rawRequest(
			edge.port,
			"GET / HTTP/1.1",
			`Host: ${guest.port}-iabc00000000000000000.localhost`,
			"Transfer-Encoding: chunked",
			"Connection: close",
			"",
			"26\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\nabc\r\n0",
		);
		expect(answer).toContain("GET /smuggled");
		expect(guest.requests.map((req) => req.url)).toEqual(["/"]);
	});

	test("trailers in both directions", async () => {
		guest.server.removeAllListeners("request").on("request", async (req, res) => {
			await text(req);
			res.writeHead(200, { Trailer: "X-Sum" });
			res.write("x");
			res.addTrailers({ "X-Sum": req.trailers["x-in"] ?? "none" });
			res.end();
		});
		const req = request(edge.url, { method: "POST", headers: { ...to().headers, Trailer: "X-In", TE: "trailers" } });
		req.write("body");
		req.addTrailers({ "X-In": "42" });
		req.end();
		const [res] = await once(req, "response");
		expect(await text(res)).toBe("x");
		expect(res.trailers).toEqual({ "x-sum": "42" });
	});

	test("an Expect: the guest's own word decides whether the body is sent", async () => {
		guest.server.on("checkContinue", (req, res) => {
			if (req.headers["x-want"] === "no") res.writeHead(417).end();
			else {
				res.writeContinue();
				req.pipe(res);
			}
		});
		const ask = async (want: string) => {
			const req = request(edge.url, {
				method: "POST",
				headers: { ...to().headers, Expect: "100-continue", "X-Want": want, "Content-Length": 4 },
			});
			req.flushHeaders();
			req.once("continue", () => req.end("body"));
			const [res] = await once(req, "response");
			const body = await text(res);
			req.destroy();
			return [res.statusCode, body];
		};
		expect(await ask("yes")).toEqual([200, "body"]);
		expect(await ask("no")).toEqual([417, ""]);
	});
});

describe("what comes back", () => {
	test("status line, repeated fields and case, as the guest sent them", async () => {
		guest.server.removeAllListeners("request").on("request", (_req, res) => {
			res.writeHead(299, "Odd Reason", ["Set-Cookie", "a=1", "Set-Cookie", "b=2", "X-CamelCase", "v", "Content-Length", "0"]);
			res.end();
		});
		const answer = await rawRequest(
			edge.port,
			"GET / HTTP/1.1",
			`Host: ${guest.port}-iabc00000000000000000.localhost`,
			"Connection: close",
		);
		expect(answer).toMatch(/^HTTP\/1\.1 299 Odd Reason\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-CamelCase: v\r\n/);
	});

	test("the length of a HEAD answer, and no body", async () => {
		guest.server.removeAllListeners("request").on("request", (_req, res) => res.writeHead(200, { "content-length": 1234 }).end());
		const answer = await rawRequest(
			edge.port,
			"HEAD / HTTP/1.1",
			`Host: ${guest.port}-iabc00000000000000000.localhost`,
			"Connection: close",
		);
		expect(answer.toLowerCase()).toContain("content-length: 1234\r\n");
		expect(answer.endsWith("\r\n\r\n")).toBe(true);
	});

	test("headers and each chunk at once, while the stream stays open", async () => {
		let next: (chunk: string) => void = () => {};
		guest.server.removeAllListeners("request").on("request", (_req, res) => {
			res.writeHead(200).flushHeaders();
			next = (chunk) => res.write(chunk);
		});
		const answer = await fetch(edge.url, to());
		const reader = answer.body?.getReader();
		for (const chunk of ["one", "two"]) {
			next(chunk);
			expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe(chunk);
		}
		await reader?.cancel();
	});

	test("a large body in both directions, byte for byte, with a slow reader", async () => {
		const block = Buffer.alloc(1 << 20, "0123456789abcdef");
		const req = request(edge.url, { method: "POST", ...to() });
		const sent = (async () => {
			for (let count = 0; count < 64; count++) if (!req.write(block)) await once(req, "drain");
			req.end();
		})();
		const [res] = await once(req, "response");
		let received = 0;
		for await (const chunk of res) {
			received += chunk.length;
			if (received % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
		}
		await sent;
		expect(received).toBe(64 << 20);
	});

	test("a guest that stops reading stops the client: nothing piles up in between", async () => {
		guest.server.removeAllListeners("request").on("request", (req) => req.pause());
		const req = request(edge.url, { method: "POST", ...to() });
		req.on("error", () => {});
		const before = process.memoryUsage().arrayBuffers;
		const block = Buffer.alloc(1 << 20);
		let blocked = false;
		for (let count = 0; count < 256 && !blocked; count++) {
			if (req.write(block)) continue;
			blocked = await Promise.race([
				once(req, "drain").then(() => false),
				new Promise<boolean>((r) => setTimeout(r, 1_000, true)),
			]);
		}
		expect(blocked).toBe(true);
		expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 << 20);
		req.destroy();
	});

	test("an early answer to an upload leaves the connection usable", async () => {
		guest.server.removeAllListeners("request").on("request", (req, res) => {
			if (req.method === "GET") return res.end("next");
			res.writeHead(413).end("too big");
		});
		const connection = rawConnection(edge.port);
		const host = `Host: ${guest.port}-iabc00000000000000000.localhost`;
		connection.socket.write(`POST / HTTP/1.1\r\n${host}\r\nContent-Length: 2000000\r\n\r\n`);
		connection.socket.write(Buffer.alloc(1_000_000, "x"));
		await connection.until("too big");
		connection.socket.write(Buffer.alloc(1_000_000, "x"));
		connection.socket.write(`GET / HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`);
		expect(await connection.end).toBe("fin");
		expect(connection.received()).toContain("next");
		connection.socket.destroy();
	});
});

describe("connections to the guest", () => {
	test("are reused, and a stale one is not the client's problem", async () => {
		const sockets = new Set<unknown>();
		guest.server.on("connection", (socket) => sockets.add(socket));
		for (let count = 0; count < 5; count++) await fetch(edge.url, to()).then((answer) => answer.text());
		expect(sockets.size).toBe(1);
		// Closing without waiting: the next request may well be sent before the edge has seen the end.
		guest.server.closeIdleConnections();
		const answer = await fetch(edge.url, to());
		expect(answer.status).toBe(200);
	});

	test.each([
		["GET", ["GET", "GET"]],
		["POST", ["POST"]],
	])("that end under a %s which they took carry %j to the guest", async (method, carried) => {
		const taken: (string | undefined)[] = [];
		await using cutting = await openGuest((req, res) => {
			if (req.url === "/") return void res.end("kept");
			taken.push(req.method);
			req.socket.destroy();
		});
		await fetch(edge.url, to(cutting.port)).then((answer) => answer.text());
		expect((await fetch(`${edge.url}/cut`, { method, ...to(cutting.port) })).status).toBe(502);
		expect(taken).toEqual(carried);
	});

	test("are tried again while a port is about to open", async () => {
		const late = await openGuest((_req, res) => res.end("late"));
		await late[Symbol.asyncDispose]();
		const answer = fetch(edge.url, to(late.port));
		await new Promise((resolve) => setTimeout(resolve, 150));
		await using _again = await openGuest((_req, res) => res.end("late"), "127.0.0.1", late.port);
		expect(await (await answer).text()).toBe("late");
	});

	test("speak TLS where the sandbox says so, whoever signed the certificate", async () => {
		const server = createTlsServer(selfSigned(), (req, res) => res.end(`${req.headers.host} over TLS`));
		server.on("upgrade", (_req, socket) => socket.end("HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw"));
		await once(server.listen(0, "127.0.0.1"), "listening");
		const { port } = server.address() as AddressInfo;
		edge.control.run("itls00000000000000000", { httpsPorts: [port] });
		const answer = await fetch(edge.url, { headers: routing("itls00000000000000000", port) });
		expect(await answer.text()).toBe(`127.0.0.1:${edge.port} over TLS`);
		const upgraded = await rawRequest(
			edge.port,
			"GET / HTTP/1.1",
			`Host: ${port}-itls00000000000000000.a`,
			"Connection: Upgrade",
			"Upgrade: x",
		);
		expect(upgraded).toMatch(/101 Go[\s\S]*raw$/);
		server.closeAllConnections();
		server.close();
	});

	test("end when the client leaves", async () => {
		const left = new Promise((resolve) => {
			guest.server.removeAllListeners("request").on("request", (_req, res) => {
				res.writeHead(200).write("x");
				res.once("close", resolve);
			});
		});
		const leaving = new AbortController();
		const answer = await fetch(edge.url, { ...to(), signal: leaving.signal });
		expect(answer.status).toBe(200);
		leaving.abort();
		await left;
	});
});

test("signed file URLs find their sandbox without any id, and stand for its token", async () => {
	const address = ownAddress();
	await using agent = await openGuest((req, res) => res.end(req.url), address, 49983);
	expect(agent.port).toBe(49983);
	edge.control.run("isigned", { address, accessToken: "tok" });
	edge.control.run("iother000000000000000", { accessToken: "other" });
	const signed = (expiration: string, token = "tok") => {
		const signature = signatureFor({ path: "/a b", operation: "read", user: "", expiration }, token);
		return new URLSearchParams({ path: "/a b", signature, signature_expiration: expiration });
	};
	const query = signed("4102444800");
	const answer = await fetch(`${edge.url}/files?${query}`);
	expect(await answer.text()).toBe(`/files?${query}`);
	expect(edge.control.asked.at(-1)).toMatchObject({ sandboxId: "isigned", port: 49983, accessToken: "tok" });

	query.set("path", "/etc/shadow");
	const forged = await fetch(`${edge.url}/files?${query}`);
	expect([forged.status, await forged.json()]).toEqual([401, { code: 401, message: "invalid signature" }]);

	// A signature stands for the token: also where the sandbox is named, for that one alone, and until it expires.
	const given = async (parameters: URLSearchParams, headers: Record<string, string> = {}) => {
		await fetch(`${edge.url}/files?${parameters}`, { headers });
		return edge.control.asked.at(-1)?.accessToken;
	};
	const named = routing("isigned", 49983);
	expect(await given(signed("4102444800"), named)).toBe("tok");
	expect(await given(signed("4102444800"), { ...named, "X-Access-Token": "own" })).toBe("own");
	expect(await given(signed("4102444800", "other"), named)).toBeUndefined();
	expect(await given(signed("4102444800"), routing("isigned", 8000))).toBeUndefined();
	expect(await given(signed("1"), named)).toBeUndefined();
	expect(await given(signed("1"))).toBeUndefined();
});

test("requests that name no sandbox are the API's", async () => {
	for (const path of ["/sandboxes", "/files", "/health"]) {
		expect((await fetch(edge.url + path)).headers.get("x-room")).toBe("api");
	}
	const upgrade = await rawRequest(edge.port, "GET /x HTTP/1.1", "Host: a", "Connection: Upgrade, close", "Upgrade: websocket");
	expect(upgrade).toContain("x-room: api");
});

test("a server on the guest's loopback interface is reached through its agent, where that agrees", async () => {
	await using web = await openGuest((req, res) => req.pipe(res.writeHead(200, { "x-host": String(req.headers.host) })));
	const address = ownAddress();
	await using agent = await openGuest(() => {}, address, CONTROL_PORT);
	agent.server.on("connect", (req, client) => {
		if (req.url !== `localhost:${web.port}`) {
			client.end("HTTP/1.1 403 Forbidden\r\n\r\n");
			return;
		}
		client.write("HTTP/1.1 200 OK\r\n\r\n");
		const target = connect(web.port, "127.0.0.1");
		client.pipe(target).pipe(client);
	});
	edge.control.run("iloop", { address });
	const send = (port: number) => fetch(edge.url, { method: "POST", body: "y".repeat(200_000), headers: routing("iloop", port) });
	const answer = await send(web.port);
	expect([answer.status, (await answer.text()).length]).toEqual([200, 200_000]);
	expect((await send(49998)).status).toBe(502);
});

test("a guest that switches protocols unasked is answered for", async () => {
	await using guest = await openGuest(() => {});
	guest.server.removeAllListeners("request");
	guest.server.on("request", (req) => req.socket.end("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"));
	edge.control.run("iswitch");
	const answer = await fetch(edge.url, { headers: routing("iswitch", guest.port) });
	expect([answer.status, await answer.json()]).toEqual([502, expect.objectContaining({ port: guest.port })]);
});

test("of clients that left no connection to an agent stays that never says what listens on loopback", async () => {
	const address = ownAddress();
	await using agent = await openGuest(() => {}, address, CONTROL_PORT);
	const open = new Set<unknown>();
	agent.server.on("connect", (_req, client) => {
		open.add(client);
		client.on("end", () => client.end()).on("close", () => open.delete(client));
		client.on("error", () => {}).resume();
	});
	edge.control.run("isilent", { address });
	const leave = new AbortController();
	const asked = Array.from({ length: 5 }, () =>
		fetch(edge.url, { headers: routing("isilent", 8000), signal: leave.signal }).catch(() => "left"),
	);
	await expect.poll(() => open.size).toBe(5);
	leave.abort();
	expect(await Promise.all(asked)).toEqual(Array(5).fill("left"));
	await expect.poll(() => open.size).toBe(0);
});
