import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { initFor, newControlKey, TestAgent } from "../../testing/agent.ts";
import { json } from "../../testing/rpc.ts";

let agent: TestAgent;

beforeEach(async () => {
	agent = await TestAgent.start();
	await mkdir(join(agent.root, "etc"), { recursive: true });
}, 60_000);

afterEach(async () => {
	await agent[Symbol.asyncDispose]();
});

const file = (path: string) => readFile(join(agent.root, path), "utf8");
const envs = () => fetch(`${agent.url}/envs`);

describe("lock", () => {
	test("before it is initialised the agent answers nothing but its health", async () => {
		const requests = ["/envs", "/metrics", "/files?path=/etc/passwd", "/init", "/process.Process/List"].map(async (path) => {
			return (await fetch(`${agent.url}${path}`, { method: path.startsWith("/p") ? "POST" : "GET" })).status;
		});
		expect(await Promise.all(requests)).toEqual([503, 503, 503, 503, 503]);
		expect((await fetch(`${agent.url}/health`)).status).toBe(204);
		expect((await agent.initialise({ accessToken: "a" })).status).toBe(204);
		expect((await envs()).status).toBe(401);
	});

	test("a daemon that crashed goes on with the identity it had", async () => {
		await agent.initialise({ accessToken: "a", envs: { X: "1" } });
		await agent.killDaemon();
		await agent.startDaemon();
		expect((await envs()).status).toBe(401);
		const answer = await fetch(`${agent.url}/envs`, { headers: { "x-access-token": "a" } });
		expect(await json(answer)).toMatchObject({ X: "1", E2B_SANDBOX_ID: "itestsandbox" });
		expect((await agent.initialise({ incarnation: 2 })).status).toBe(204);
	});
});

describe("signature", () => {
	test("one of another key opens nothing", async () => {
		const answer = await agent.control(initFor(newControlKey().publicKey), newControlKey());
		expect(answer.status).toBe(401);
		expect((await envs()).status).toBe(503);
	});

	test("a changed body opens nothing", async () => {
		const { currentKey } = agent;
		const body = JSON.stringify(initFor(newControlKey().publicKey));
		const signed = await agent.controlRaw(body, currentKey);
		expect(signed.status).toBe(204);
		const forged = await agent.controlRaw(body.replace("itestsandbox", "iother"), currentKey);
		expect(forged.status).toBe(401);
	});

	test("a recorded call cannot bring an old token back", async () => {
		const { currentKey } = agent;
		const recorded = JSON.stringify({ ...initFor(newControlKey().publicKey), accessToken: "old" });
		const first = newControlKey();
		await agent.control({ ...initFor(first.publicKey), accessToken: "old" }, currentKey);
		await agent.control({ ...initFor(newControlKey().publicKey), incarnation: 2, accessToken: "new" }, first);
		expect((await agent.controlRaw(recorded, currentKey)).status).toBe(401);
		expect((await fetch(`${agent.url}/envs`, { headers: { "x-access-token": "old" } })).status).toBe(401);
	});

	test("the same call again, whose answer was lost, is answered again", async () => {
		const { currentKey } = agent;
		const body = JSON.stringify(initFor(newControlKey().publicKey));
		expect((await agent.controlRaw(body, currentKey)).status).toBe(204);
		expect((await agent.controlRaw(body, currentKey)).status).toBe(204);
	});
});

describe("an interpreter that is slow to take its seed", () => {
	/** Answers a reseed when told to. */
	async function slowInterpreter() {
		const asked = Promise.withResolvers<string>();
		const answer = Promise.withResolvers<void>();
		const server = createServer(async (request, response) => {
			asked.resolve(String((await request.setEncoding("utf8").toArray()).join("")));
			await answer.promise;
			response.writeHead(204).end();
		});
		await once(server.listen(agent.noticePort, "127.0.0.1"), "listening");
		return { asked: asked.promise, answer: answer.resolve, [Symbol.asyncDispose]: async () => void server.close() };
	}

	test("does not keep the sandbox closed, and runs no cell before it has it: it is not told the environment", async () => {
		await using interpreter = await slowInterpreter();
		expect((await agent.initialise({ newIdentity: true, envs: { X: "1" } })).status).toBe(204);
		expect(await interpreter.asked).toContain("entropy");
		expect((await fetch(`${agent.url}/metrics`)).status).toBe(200);
		expect((await envs()).status).toBe(503);
		const waiting = envs();
		interpreter.answer();
		expect(await json(await waiting)).toMatchObject({ X: "1" });
	}, 30_000);

	test("who asked before the sandbox became another one is told nothing of that", async () => {
		await using interpreter = await slowInterpreter();
		await agent.initialise({ newIdentity: true, envs: { X: "1" } });
		const waiting = envs();
		await agent.initialise({ incarnation: 2, envs: { X: "2" } });
		interpreter.answer();
		expect((await waiting).status).toBe(503);
		expect(await json(await envs())).toMatchObject({ X: "2" });
	});
});

describe("message", () => {
	const valid = () => initFor(newControlKey().publicKey);
	test.each([
		["sandboxId", { sandboxId: 7 }],
		["incarnation", { incarnation: "1" }],
		["generation", { generation: -1 }],
		["nextControlKey", { nextControlKey: "AAAA" }],
		["newIdentity", { newIdentity: undefined }],
		["envs", { envs: { A: 1 } }],
		["hostname", { hostname: "a b\n127.0.0.1 x" }],
		["accessToken", { accessToken: "" }],
		["caBundle", { caBundle: {} }],
	])("a wrong %s is refused by name, and nothing is opened", async (field, change) => {
		const answer = await agent.control({ ...valid(), ...change }, agent.currentKey);
		expect(answer.status).toBe(400);
		expect((await json(answer)).message).toContain(field);
		expect((await envs()).status).toBe(503);
	});
});

describe("identity", () => {
	test("a clone gets one of its own", async () => {
		await writeFile(join(agent.root, "etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 source\n10.0.0.1 other\n");
		await writeFile(join(agent.root, "etc/machine-id"), "source\n");
		await mkdir(join(agent.root, "var/lib/dbus"), { recursive: true });
		const answer = await agent.initialise({ newIdentity: true, generation: 5, caBundle: "PEM\n", hostname: "iclone" });
		expect(answer.status).toBe(204);
		expect(await file("etc/hostname")).toBe("iclone\n");
		expect(await file("etc/hosts")).toBe("127.0.0.1 localhost\n10.0.0.1 other\n127.0.1.1\ticlone\n");
		const machineId = await file("etc/machine-id");
		expect(machineId).toMatch(/^[0-9a-f]{32}\n$/);
		expect(await file("var/lib/dbus/machine-id")).toBe(machineId);
		expect(await file("run/offshoot/generation")).toBe("5\n");
		expect(await file("run/e2b/.E2B_SANDBOX")).toBe("true");
		expect(await file("run/e2b/.E2B_SANDBOX_ID")).toBe("itestsandbox");
		expect(await file("run/e2b/.E2B_TEMPLATE_ID")).toBe("ttesttemplate");
		expect(await file("etc/ssl/certs/ca-certificates.crt")).toBe("PEM\n");
		expect(await readFile(`/proc/${agent.sysdPid}/root/proc/sys/kernel/hostname`, "utf8")).not.toBe("iclone\n");
	});

	test("a resumed sandbox keeps its own and gets the new generation", async () => {
		await writeFile(join(agent.root, "etc/machine-id"), "same\n");
		await agent.initialise({ newIdentity: false, generation: 6 });
		expect(await file("etc/machine-id")).toBe("same\n");
		expect(await file("run/offshoot/generation")).toBe("6\n");
	});
});

describe("hooks", () => {
	async function hook(name: string, script: string, mode = 0o755): Promise<void> {
		const directory = join(agent.root, "etc/offshoot/on-restore.d");
		await mkdir(directory, { recursive: true });
		await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`);
		await chmod(join(directory, name), mode);
	}

	test("run in order before the agent opens; what fails or may not run stops nothing", async () => {
		const trace = join(agent.directory, "trace");
		await hook("20-second", `echo "$OFFSHOOT_SANDBOX_ID $OFFSHOOT_GENERATION $(id -u)" >> ${trace}`);
		await hook("10-first", `echo first >> ${trace}; exit 1`);
		await hook("15-off", `echo off >> ${trace}`, 0o644);
		await agent.initialise({ newIdentity: true, generation: 9 });
		expect(await readFile(trace, "utf8")).toBe("first\nitestsandbox 9 0\n");
	});

	test("do not run for a sandbox that keeps its identity", async () => {
		const trace = join(agent.directory, "trace");
		await hook("10", `echo ran >> ${trace}`);
		await agent.initialise({ newIdentity: false });
		await expect(readFile(trace)).rejects.toThrow("ENOENT");
	});
});

describe("peer", () => {
	test("calls from another address are refused even when they are signed", async () => {
		const status = await new Promise((resolve, reject) => {
			const call = request(
				{ host: "127.0.0.1", localAddress: "127.0.0.2", port: agent.controlPort, path: "/init", method: "POST" },
				(response) => resolve(response.statusCode),
			);
			call.on("error", reject);
			call.end("{}");
		});
		expect(status).toBe(403);
	});
});
