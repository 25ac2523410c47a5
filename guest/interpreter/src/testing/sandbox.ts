/** What surrounds an interpreter in a sandbox, for tests: an agent to ask, a home directory, and clients. */

import { mkdtemp, realpath, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Sandbox } from "@e2b/code-interpreter";
import { type Interpreter, startInterpreter } from "../interpreter.ts";
import { kernelEnvironment } from "../settings.ts";
import { testPython } from "./python.ts";

export const ACCESS_TOKEN = "token-of-this-sandbox";

export interface TestEvent {
	readonly type: string;
	readonly [key: string]: unknown;
}

export interface TestSandbox {
	readonly interpreter: Interpreter;
	/** Working directory of contexts. */
	readonly home: string;
	/** The sandbox's global environment, as the agent tells it. */
	environment: Record<string, string>;
	/** The token that the agent accepts. */
	accessToken: string;
	/** The real client. */
	client(): Sandbox;
	/** A request as it is on the wire. */
	request(method: string, path: string, options?: { body?: unknown; token?: string; signal?: AbortSignal }): Promise<Response>;
	/** Runs code and returns all lines of the answer. */
	execute(body: Readonly<Record<string, unknown>>): Promise<TestEvent[]>;
	reseed(entropy: Buffer): Promise<number>;
	/** Ends the agent only. */
	closeAgent(): Promise<void>;
	close(): Promise<void>;
}

/** Starts an interpreter, by default with both default contexts. */
export async function startTestSandbox({ untilReady = true } = {}): Promise<TestSandbox> {
	const root = await realpath(await mkdtemp(join(tmpdir(), "ofi-")));
	const sandbox: Pick<TestSandbox, "environment" | "accessToken"> = { environment: {}, accessToken: ACCESS_TOKEN };
	const agent = await startAgent(sandbox);
	const interpreter = await startInterpreter({
		host: "127.0.0.1",
		port: 0,
		internalPort: 0,
		agentPort: agent.port,
		python: await testPython(),
		nodeCommand: [process.execPath],
		javaKernel: "/nowhere/java-kernel.jar",
		runtimeDirectory: join(root, "run"),
		defaultCwd: root,
		kernelEnvironment: { ...kernelEnvironment(process.env), HOME: root },
	});
	if (untilReady) await interpreter.ready;
	const address = `http://127.0.0.1:${interpreter.port}`;

	const request: TestSandbox["request"] = (method, path, { body, token = sandbox.accessToken, signal } = {}) =>
		fetch(`${address}${path}`, {
			method,
			headers: { "content-type": "application/json", "x-access-token": token },
			...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
			...(signal ? { signal } : {}),
		});

	return Object.assign(sandbox, {
		interpreter,
		home: root,
		request,
		client: () =>
			new Sandbox({
				sandboxId: "test",
				envdVersion: "0.6.13",
				envdAccessToken: sandbox.accessToken,
				apiKey: "e2b_0000000000000000000000000000000000000000",
				sandboxUrl: address,
			}),
		async execute(body: Readonly<Record<string, unknown>>) {
			const response = await request("POST", "/execute", { body });
			const text = await response.text();
			if (response.status !== 200) throw new Error(`${response.status} ${text}`);
			return text
				.trimEnd()
				.split("\n")
				.map((line): TestEvent => JSON.parse(line));
		},
		async reseed(entropy: Buffer) {
			const body = JSON.stringify({ entropy: entropy.toString("base64") });
			const response = await fetch(`http://127.0.0.1:${interpreter.internalPort}/reseed`, { method: "POST", body });
			return response.status;
		},
		closeAgent: agent.close,
		async close() {
			await interpreter.close();
			await agent.close();
			await rm(root, { recursive: true, force: true });
		},
	});
}

/** Stands for the agent: tells the environment to who has the token. */
export async function startAgent(sandbox: { environment: Record<string, string>; accessToken: string }) {
	const server = createServer((request, response) => {
		const allowed = request.url === "/envs" && request.headers["x-access-token"] === sandbox.accessToken;
		response.writeHead(allowed ? 200 : 401, { "content-type": "application/json" });
		response.end(JSON.stringify(allowed ? sandbox.environment : { code: 401, message: "unauthorized access" }));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	if (typeof address !== "object" || address === null) throw new Error("no port");
	return { port: address.port, close: () => new Promise<void>((resolve) => server.close(() => resolve())) };
}
