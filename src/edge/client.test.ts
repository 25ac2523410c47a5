/** What the real client makes of the edge's behaviour. */
import { CommandExitError, Sandbox, TimeoutError } from "e2b";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FakeGuest, type OpenEdge, openEdge, openGuest, ownAddress } from "./fixture.ts";

let edge: OpenEdge;
let agent: FakeGuest;

/** One message of a Connect stream. */
function envelope(message: unknown, flags = 0): Buffer {
	const body = Buffer.from(JSON.stringify(message));
	const head = Buffer.alloc(5);
	head.writeUInt8(flags, 0);
	head.writeUInt32BE(body.length, 1);
	return Buffer.concat([head, body]);
}

beforeEach(async () => {
	const address = ownAddress();
	agent = await openGuest(
		(req, res) => {
			if (req.url === "/health") return res.writeHead(204).end();
			res.writeHead(200, { "content-type": "application/connect+json" });
			res.write(envelope({ event: { start: { pid: 7 } } }));
			res.write(envelope({ event: { data: { stdout: Buffer.from("working").toString("base64") } } }));
		},
		address,
		49983,
	);
	edge = await openEdge({}, (_req, res) => {
		res.setHeader("content-type", "application/json");
		res.end(
			JSON.stringify({
				templateID: "base",
				sandboxID: "iabc00000000000000000",
				clientID: "x",
				envdVersion: "0.6.13",
				domain: "localhost",
			}),
		);
	});
	edge.control.run("iabc00000000000000000", { address });
});

afterEach(async () => {
	await edge[Symbol.asyncDispose]();
	await agent[Symbol.asyncDispose]();
});

const connect = () =>
	Sandbox.connect("iabc00000000000000000", { apiKey: `e2b_${"0".repeat(40)}`, apiUrl: edge.url, sandboxUrl: edge.url });

test("a running command ends as a timeout that names the end of the sandbox when the sandbox is killed", async () => {
	const sandbox = await connect();
	let output = "";
	const onStdout = (data: string) => {
		output += data;
	};
	const command = await sandbox.commands.run("work", { background: true, onStdout });
	await expect.poll(() => output).toBe("working");
	const waiting = command.wait();
	edge.control.kill("iabc00000000000000000");
	const failure = await waiting.then(
		() => undefined,
		(error: unknown) => error,
	);
	expect(failure).toBeInstanceOf(TimeoutError);
	expect(failure).not.toBeInstanceOf(CommandExitError);
	expect(String(failure)).toContain("killed or reached its end of life");
});

test("isRunning follows the sandbox", async () => {
	const sandbox = await connect();
	expect(await sandbox.isRunning()).toBe(true);
	edge.control.kill("iabc00000000000000000");
	expect(await sandbox.isRunning()).toBe(false);
});
