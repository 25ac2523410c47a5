import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Process } from "../../../src/protocol/gen/process_pb.js";
import { TestAgent } from "../testing/agent.ts";
import { collect, json, stream, unary } from "../testing/rpc.ts";

const TOKEN = "secret";
let agent: TestAgent;

beforeAll(async () => {
	agent = await TestAgent.start();
	await agent.initialise({ accessToken: TOKEN, envs: { A: "b" } });
}, 60_000);

afterAll(async () => {
	await agent[Symbol.asyncDispose]();
});

const authorised = { "x-access-token": TOKEN };

describe("access", () => {
	test("without the token every call is refused, RPCs in plain JSON", async () => {
		for (const headers of [{}, { "x-access-token": "wrong" }]) {
			const answers = [
				await fetch(`${agent.url}/envs`, { headers }),
				await fetch(`${agent.url}/metrics`, { headers }),
				await fetch(`${agent.url}/files?path=x`, { headers }),
				await fetch(`${agent.url}/files/compose`, { method: "POST", headers }),
				await unary(agent, "process.Process/List", {}, headers),
				await unary(agent, "filesystem.Filesystem/WatchDir", {}, headers),
				await fetch(`${agent.url}/unknown`, { headers }),
			];
			expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 401));
			expect(await answers[4]?.json()).toEqual({
				code: 401,
				message: "unauthorized access, please provide a valid access token or method signing if supported",
			});
		}
	});

	test("with it they are answered", async () => {
		expect((await unary(agent, "process.Process/List", {}, authorised)).status).toBe(200);
		const envs = await json(fetch(`${agent.url}/envs`, { headers: authorised }));
		expect(envs).toEqual({ A: "b", E2B_SANDBOX: "true", E2B_SANDBOX_ID: "itestsandbox", E2B_TEMPLATE_ID: "ttesttemplate" });
	});

	test("health needs none and is not cached", async () => {
		const answer = await fetch(`${agent.url}/health`);
		expect([answer.status, answer.headers.get("cache-control")]).toEqual([204, "no-store"]);
	});

	test.each(["/init", "/freeze", "/upgrade", "//envs", "/ENVS", "/process.Process/Nothing", "/%65nvs"])(
		"%s is not there",
		async (path) => {
			const answer = await fetch(agent.url + path, { method: "POST", headers: authorised });
			expect(answer.status).toBe(404);
		},
	);
});

describe("browsers", () => {
	test("a preflight passes without the token", async () => {
		const answer = await fetch(`${agent.url}/process.Process/Start`, {
			method: "OPTIONS",
			headers: {
				origin: "https://example.com",
				"access-control-request-method": "POST",
				"access-control-request-headers": "x-access-token,connect-protocol-version",
			},
		});
		expect(answer.status).toBe(204);
		expect(answer.headers.get("access-control-allow-origin")).toBe("*");
		expect(answer.headers.get("access-control-allow-methods")).toContain("PATCH");
		expect(answer.headers.get("access-control-allow-headers")).toBe("x-access-token,connect-protocol-version");
	});

	test("may read the headers that the protocols and downloads use", async () => {
		const exposed = (await fetch(`${agent.url}/health`)).headers.get("access-control-expose-headers")?.toLowerCase().split(", ");
		expect(exposed).toEqual(
			expect.arrayContaining(["grpc-status", "grpc-message", "content-encoding", "location", "cache-control"]),
		);
	});

	test("refusals can be read by them too", async () => {
		expect((await fetch(`${agent.url}/envs`)).headers.get("access-control-allow-origin")).toBe("*");
	});
});

describe("protocol", () => {
	test("an answer has the content type of its question", async () => {
		const answer = await unary(agent, "process.Process/List", {}, authorised);
		expect(answer.headers.get("content-type")).toBe("application/json");
		const other = await unary(agent, "process.Process/List", {}, { ...authorised, "content-type": "text/plain" });
		expect(other.status).toBe(415);
	});

	test("binary messages are understood as well as JSON", async () => {
		const baseUrl = agent.url;
		const authorise: Interceptor = (next) => (request) => {
			request.header.set("x-access-token", TOKEN);
			return next(request);
		};
		const transport = createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true, interceptors: [authorise] });
		const client = createClient(Process, transport);
		const cases: (string | undefined)[] = [];
		for await (const { event } of client.start({ process: { cmd: "echo", args: ["hi"] } })) cases.push(event?.event.case);
		expect(cases).toEqual(["start", "data", "end"]);
		expect((await client.list({})).processes).toEqual([]);
		await expect(client.sendSignal({ process: { selector: { case: "pid", value: 999_999 } }, signal: 9 })).rejects.toThrow(
			"not found",
		);
	});

	test.each(["application/grpc", "application/grpc-web+proto"])("%s is refused as a media type", async (type) => {
		const headers = { ...authorised, "content-type": type };
		const answer = await fetch(`${agent.url}/process.Process/List`, { method: "POST", headers, body: new Uint8Array(5) });
		expect(answer.status).toBe(415);
	});

	test("nothing is compressed, whoever offers it", async () => {
		const offers = { "accept-encoding": "gzip", "connect-accept-encoding": "gzip" };
		const answer = await unary(agent, "filesystem.Filesystem/ListDir", { path: "/etc" }, { ...authorised, ...offers });
		expect([answer.status, answer.headers.get("content-encoding")]).toEqual([200, null]);
		const headers = { ...authorised, ...offers };
		const messages = await collect(stream(agent, "process.Process/Start", { process: { cmd: "true" } }, { headers }));
		expect(messages.map(({ flags }) => flags)).toEqual([0, 0, 2]);
	});

	test.each([
		["not_found", 404, "filesystem.Filesystem/Stat", { path: "/no/such" }],
		["already_exists", 409, "filesystem.Filesystem/MakeDir", { path: "/etc" }],
		["invalid_argument", 400, "filesystem.Filesystem/ListDir", { path: "/etc/passwd" }],
		["unimplemented", 501, "process.Process/SendSignal", { process: { tag: "sleeper" }, signal: 1 }],
		["internal", 500, "process.Process/SendInput", { process: { tag: "sleeper" }, input: { stdin: "eA==" } }],
	])("%s is told with status %i", async (code, status, method, body) => {
		const sleeper = { process: { cmd: "sleep", args: ["600"] }, tag: "sleeper", stdin: false };
		const messages = stream(agent, "process.Process/Start", sleeper, { headers: authorised });
		await messages.next();
		const answer = await unary(agent, method, body, authorised);
		expect([answer.status, (await json(answer)).code]).toEqual([status, code]);
		await unary(agent, "process.Process/SendSignal", { process: { tag: "sleeper" }, signal: 9 }, authorised);
		await collect(messages);
	});

	const nobody = { ...authorised, authorization: `Basic ${Buffer.from("nosuch:").toString("base64")}` };
	const selector = { process: { pid: 999_999 } };

	test.each([
		["filesystem.Filesystem/Stat", { path: "/etc" }],
		["filesystem.Filesystem/GetWatcherEvents", { watcherId: "none" }],
		["process.Process/List", {}],
		["process.Process/SendSignal", { ...selector, signal: 9 }],
		["process.Process/SendInput", selector],
	])("an unknown user is unauthenticated in a unary call: %s", async (method, body) => {
		const answer = await unary(agent, method, body, nobody);
		expect([answer.status, await json(answer)]).toEqual([
			401,
			{ code: "unauthenticated", message: "invalid username: 'nosuch'" },
		]);
	});

	test.each([
		["process.Process/Connect", selector],
		["process.Process/StreamInput", { start: selector }],
		["filesystem.Filesystem/WatchDir", { path: "/none" }],
	])("an unknown user is unauthenticated in a stream: %s", async (method, body) => {
		const error = { code: "unauthenticated", message: "invalid username: 'nosuch'" };
		expect(await collect(stream(agent, method, body, { headers: nobody }))).toEqual([{ flags: 2, body: { error } }]);
	});

	test("unknown fields, snake case and numeric enums are taken", async () => {
		const stat = await unary(agent, "filesystem.Filesystem/Stat", { path: "/etc", future: { x: 1 } }, authorised);
		expect(stat.status).toBe(200);
		const signal = await unary(agent, "process.Process/SendSignal", { process: { pid: 1 }, signal: 15 }, authorised);
		expect((await json(signal)).code).toBe("not_found");
		const watcher = { path: "/etc", include_entry: true, allow_network_mounts: true };
		expect((await unary(agent, "filesystem.Filesystem/CreateWatcher", watcher, authorised)).status).toBe(200);
	});

	test.each([
		["no JSON", "{"],
		["a wrong type", '{"path":7}'],
		["no object", "[]"],
	])("%s is an invalid argument", async (_, body) => {
		const answer = await fetch(`${agent.url}/filesystem.Filesystem/Stat`, {
			method: "POST",
			body,
			headers: { ...authorised, "content-type": "application/json" },
		});
		expect([answer.status, (await json(answer)).code]).toEqual([400, "invalid_argument"]);
	});
});

test("metrics are those of this machine", async () => {
	const metrics = await json(fetch(`${agent.url}/metrics`, { headers: authorised }));
	expect(metrics.cpu_count).toBeGreaterThan(0);
	expect(metrics.mem_total).toBeGreaterThan(metrics.mem_used);
	expect(metrics.mem_used_mib).toBe(Math.floor(metrics.mem_used / 1048576));
	expect(metrics.disk_total).toBeGreaterThan(metrics.disk_used);
	expect(Math.abs(metrics.ts - Date.now() / 1000)).toBeLessThan(5);
});
