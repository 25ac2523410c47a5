/** A node that its operator has closed: on a server of its own, since no other test could start anything meanwhile. */
import { Sandbox, ServiceBusyError } from "e2b";
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
	expect(await running.fork()).toEqual([expect.any(ServiceBusyError)]);
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
