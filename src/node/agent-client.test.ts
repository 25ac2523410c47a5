import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer, type Server } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type AgentInit, CONTROL_PORT } from "../protocol/index.ts";
import { agentClient } from "./agent-client.ts";
import { newControlKey } from "./control-key.ts";

/** On loopback addresses that no other test uses. */
const controlKey = newControlKey().privateKey;
const INIT: AgentInit = {
	sandboxId: "ione",
	templateId: "base",
	incarnation: 1,
	generation: 1,
	nextControlKey: "",
	newIdentity: true,
	envs: {},
	hostname: "ione",
	timestampMs: 0,
	entropy: "",
};
const never = new AbortController().signal;

async function listen(server: Server, address: string): Promise<string> {
	server.listen(CONTROL_PORT, address);
	await once(server, "listening");
	onTestFinished(() => void server.close());
	return address;
}

const http = (handle: RequestListener) => createHttpServer(handle);
const init = (address: string, limitMs: number, signal = never) => agentClient.init(address, INIT, controlKey, signal, limitMs);

test("an agent that takes the connection and never answers is given up after its limit, with a reason for the user", async () => {
	const silent = await listen(
		createServer((socket) => onTestFinished(() => void socket.destroy())),
		"127.49.98.1",
	);
	await expect(init(silent, 300)).rejects.toMatchObject({
		code: "timed_out",
		message: expect.stringMatching(/did not take its initialisation within 0.3 s.*start from another snapshot/),
		details: { errorCode: "sandbox_guest_agent_unresponsive", shouldRetry: false },
	});
	await expect(init("127.49.98.2", 300)).rejects.toMatchObject({ code: "timed_out" });
});

test("an agent that refuses or hangs up is the snapshot's fault; its own words stay in the log", async () => {
	const refusing = await listen(
		http((_, response) => response.writeHead(401).end("guest's words")),
		"127.49.98.3",
	);
	const refused = await init(refusing, 10_000).catch((error: unknown) => error);
	expect(refused).toMatchObject({ code: "conflict", message: expect.stringContaining("answered 401") });
	expect(String(refused)).not.toContain("guest's words");
	const cutting = await listen(
		http((request) => request.socket.destroy()),
		"127.49.98.4",
	);
	await expect(init(cutting, 10_000)).rejects.toMatchObject({ code: "conflict" });
});

test("an agent that answers what nobody asked for fails the call, and nothing waits for it any more", async () => {
	const upgrading = await listen(
		createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")),
		"127.49.98.6",
	);
	await expect(init(upgrading, 10_000)).rejects.toMatchObject({ code: "conflict" });
});

test("of what is no HTTP the error keeps no copy, which the log would have", async () => {
	const garbage = await listen(
		createServer((socket) => socket.on("error", () => {}).end("x".repeat(100_000))),
		"127.49.98.7",
	);
	const { details } = await init(garbage, 10_000).catch((error) => error);
	expect(details.cause.message).toContain("Parse Error");
	expect(Object.keys(details.cause)).toEqual([]);
});

test("a caller that leaves is not told of limits", async () => {
	const caller = AbortSignal.timeout(200);
	await expect(init("127.49.98.5", 10_000, caller)).rejects.toMatchObject({ name: "TimeoutError" });
});
