import { once } from "node:events";
import { createServer as createHttpServer, request } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AGENT_PORT, CONTROL_PORT, INTERPRETER_NOTICE_PORT } from "../../../../src/protocol/index.ts";
import { relayLoopback } from "./loopback.ts";

let control: Server;
let allowed: boolean;

beforeEach(async () => {
	allowed = true;
	const server = createHttpServer();
	relayLoopback(server, () => allowed);
	control = await listening(server, "127.0.0.1");
});

afterEach(() => {
	control.close();
});

async function listening(server: Server, host: string): Promise<Server> {
	await once(server.listen(0, host), "listening");
	return server;
}

const portOf = (server: Server) => (server.address() as AddressInfo).port;

/** The status of a CONNECT, and the connection when it is 200. */
async function ask(target: string): Promise<{ status: number | undefined; socket: Socket }> {
	const call = request({ host: "127.0.0.1", port: portOf(control), method: "CONNECT", path: target, agent: false });
	call.end();
	const [response, socket] = await once(call, "connect");
	return { status: response.statusCode, socket };
}

test.each(["127.0.0.1", "::1"])("a server on %s is reached, and each direction ends by itself", async (host) => {
	const server = createServer({ allowHalfOpen: true }, (socket) => {
		let text = "";
		socket.on("data", (chunk) => {
			text += chunk;
		});
		socket.on("end", () => socket.end(text.toUpperCase()));
	});
	await listening(server, host);
	const { status, socket } = await ask(`localhost:${portOf(server)}`);
	expect(status).toBe(200);
	socket.end("a".repeat(300_000));
	let answer = "";
	for await (const chunk of socket) answer += chunk;
	expect(answer).toBe("A".repeat(300_000));
	server.close();
});

test("a connection that its server resets ends at once", async () => {
	const server = await listening(
		createServer((socket) => socket.resetAndDestroy()),
		"127.0.0.1",
	);
	const { socket } = await ask(`localhost:${portOf(server)}`);
	socket.on("error", () => {});
	socket.resume();
	await once(socket, "close");
	server.close();
});

test.each([
	["a port where nothing listens", "localhost:1", 502],
	["the agent's port", `localhost:${AGENT_PORT}`, 403],
	["the control port", `localhost:${CONTROL_PORT}`, 403],
	["the interpreter's port for notices", `localhost:${INTERPRETER_NOTICE_PORT}`, 403],
	["a port in another spelling", "localhost:049998", 403],
	["a port beyond the last", "localhost:70000", 502],
	["another host", "169.254.0.22:80", 403],
	["a host behind a port", "localhost:80@example.com:80", 403],
])("%s is refused", async (_name, target, status) => {
	expect((await ask(target)).status).toBe(status);
});

test("nobody is let in without permission", async () => {
	const server = await listening(createServer(), "127.0.0.1");
	allowed = false;
	expect((await ask(`localhost:${portOf(server)}`)).status).toBe(503);
	server.close();
});
