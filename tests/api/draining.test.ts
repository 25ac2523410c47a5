/** A node that its operator has closed, a broken database and a missing image: on a server of their own, since no other test could go on meanwhile. */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Sandbox, SandboxError, ServiceBusyError } from "e2b";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adminToken } from "../support/operator.ts";
import { runPython } from "../support/python.ts";
import { restAt } from "../support/rest.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
	server = await startTestServer();
});
afterAll(() => server.destroy());

async function asOperator(method: string, path: string, body?: unknown) {
	return restAt(server.url, method, path, body, { "X-Admin-Token": await adminToken(server.dataDir) });
}

test("a node that is drained takes nothing new and lets what runs go on; clients come again until it is ready", async () => {
	const running = await Sandbox.create("base", server.sdk);
	const paused = await Sandbox.create("base", { ...server.sdk, lifecycle: { onTimeout: "pause", autoResume: true } });
	await paused.pause();
	const [node] = (await asOperator("GET", "/nodes")).body;
	const become = (status: string) => asOperator("POST", `/nodes/${node.id}`, { status });
	expect((await become("draining")).status).toBe(204);
	expect((await asOperator("GET", `/nodes/${node.id}`)).body).toMatchObject({ status: "draining", sandboxCount: 1 });

	const refused = await Sandbox.create("base", server.sdk).catch((error: unknown) => error);
	expect(refused).toBeInstanceOf(ServiceBusyError);
	expect(String(refused)).toContain("its operator has set it to 'draining'");
	await expect(paused.connect()).rejects.toThrow(ServiceBusyError);
	await expect(running.fork({ count: 2 })).rejects.toThrow(ServiceBusyError);
	expect((await running.commands.run("echo on")).stdout).toBe("on\n");
	const { snapshotId } = await running.createSnapshot();
	await running.setTimeout(60_000);
	expect((await paused.getInfo()).state).toBe("paused");
	const traffic = await fetch(server.url, {
		headers: { "E2b-Sandbox-Id": paused.sandboxId, "E2b-Sandbox-Port": "8000" },
	});
	expect(traffic.status).toBe(503);

	await runPython({ ...server.env, NODE_ID: node.id, ADMIN_TOKEN: await adminToken(server.dataDir) }, "drained.py");
	await Promise.all([paused.connect(), Sandbox.create(snapshotId, server.sdk)]);
	expect((await become("tired")).status).toBe(400);
});

test("of a defect clients learn no more than that there is one, and the name of its line in the server's log", async () => {
	using database = new DatabaseSync(join(server.dataDir, "offshoot.db"), { timeout: 5_000 });
	database.exec("ALTER TABLE templates RENAME TO templates_taken_away");
	try {
		await failVisibly();
	} finally {
		database.exec("ALTER TABLE templates_taken_away RENAME TO templates");
	}
});

async function failVisibly(): Promise<void> {
	const failed = await Sandbox.listSnapshots(server.sdk)
		.nextItems()
		.catch((error: unknown) => error);
	expect(failed).toBeInstanceOf(SandboxError);
	expect(failed).toMatchObject({ statusCode: 500, message: "500: internal server error" });
	const { body, headers } = await restAt(server.url, "GET", "/snapshots", undefined, { "X-API-KEY": server.apiKey });
	expect(body).toEqual({ code: 500, message: "internal server error", error_code: "internal_server_error" });
	const name = headers.get("x-e2b-trace-id") ?? "no name";
	// The log is written beside the answers, so an answer may come before its line.
	await expect.poll(() => logLine(name)).toContain("no such table");
}

async function logLine(name: string): Promise<string> {
	const log = await readFile(join(server.dataDir, "server.log"), "utf8");
	return log.split("\n").find((each) => each.includes(name)) ?? "";
}

test("a start whose image is missing says so, and is not taken for one of what does not exist", async () => {
	const source = await Sandbox.create("base", server.sdk);
	const artifacts = join(server.dataDir, "artifacts");
	const before = await readdir(artifacts);
	const { snapshotId } = await source.createSnapshot();
	const [image = ""] = (await readdir(artifacts)).filter((name) => !before.includes(name));
	await rm(join(artifacts, image), { recursive: true });
	const refused = await Sandbox.create(snapshotId, server.sdk).catch((error: unknown) => error);
	expect(refused).toMatchObject({ statusCode: 500, message: expect.stringContaining("is missing on this host") });
	expect((await source.commands.run("echo on")).stdout).toBe("on\n");
	expect(await Sandbox.deleteSnapshot(snapshotId, server.sdk)).toBe(true);
	await source.kill();
});
