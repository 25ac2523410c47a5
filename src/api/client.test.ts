/** The real client's whole way through the API. */
import { AuthenticationError, NotFoundError, Sandbox } from "e2b";
import { afterEach, beforeEach, expect, test } from "vitest";
import { API_KEY, DOMAIN } from "./testing/known.ts";
import { type OpenApi, openApi } from "./testing/open-api.ts";

let api: OpenApi;
let options: { apiKey: string; apiUrl: string };
beforeEach(async () => {
	api = await openApi();
	options = { apiKey: API_KEY, apiUrl: api.url };
});
afterEach(() => api[Symbol.asyncDispose]());

test("a sandbox lives: created, read, listed, paused, connected, killed", async () => {
	const sandbox = await Sandbox.create("base", { ...options, metadata: { "a b": "c&d" }, timeoutMs: 60_000 });
	expect(sandbox.getHost(8000)).toBe(`8000-${sandbox.sandboxId}.${DOMAIN}`);
	expect(await sandbox.downloadUrl("/x")).toContain(`https://49983-${sandbox.sandboxId}.${DOMAIN}/files`);

	const info = await sandbox.getInfo();
	expect(info).toMatchObject({ sandboxId: sandbox.sandboxId, state: "running", metadata: { "a b": "c&d" }, cpuCount: 2 });

	const listed = await Sandbox.list({ ...options, query: { metadata: { "a b": "c&d" }, state: ["running"] } }).nextItems();
	expect(listed.map((item) => item.sandboxId)).toEqual([sandbox.sandboxId]);
	expect(api.control.calls.at(-1)?.[1]).toMatchObject({ metadata: { "a b": "c&d" }, states: ["running"] });

	await sandbox.setTimeout(90_000);
	expect(api.control.calls.at(-1)).toEqual(["setTimeout", sandbox.sandboxId, 90]);
	expect(await sandbox.pause()).toBe(true);
	expect(await sandbox.pause()).toBe(false);
	await Sandbox.connect(sandbox.sandboxId, options);
	expect(await sandbox.kill()).toBe(true);
	expect(await sandbox.kill()).toBe(false);
});

test("snapshots are made, listed page by page and deleted once", async () => {
	const sandbox = await Sandbox.create("base", options);
	for (const name of ["one", "two", "three"]) await sandbox.createSnapshot({ name });
	const unnamed = await sandbox.createSnapshot();
	expect(unnamed.snapshotId).toMatch(/^[a-z0-9]{20}:default$/);

	const found: string[] = [];
	const pages = Sandbox.listSnapshots({ ...options, sandboxId: sandbox.sandboxId, limit: 3 });
	while (pages.hasNext) found.push(...(await pages.nextItems()).map((item) => item.snapshotId));
	expect(found).toEqual(["acme/one:default", "acme/two:default", "acme/three:default", unnamed.snapshotId]);

	expect(await Sandbox.deleteSnapshot("acme/one:default", options)).toBe(true);
	expect(await Sandbox.deleteSnapshot("acme/one:default", options)).toBe(false);
});

test("forks come one by one, each a sandbox or its error", async () => {
	const sandbox = await Sandbox.create("base", options);
	const forks = await sandbox.fork({ count: 3 });
	expect(forks).toHaveLength(3);
	expect(api.control.calls.at(-1)).toEqual(["fork", sandbox.sandboxId, 3, { upTo: 300 }]);
});

test("errors arrive as the client's own classes", async () => {
	await expect(Sandbox.connect("inone", options)).rejects.toBeInstanceOf(NotFoundError);
	await expect(Sandbox.create("base", { ...options, apiKey: `e2b_${"f".repeat(40)}` })).rejects.toBeInstanceOf(
		AuthenticationError,
	);
	await expect(Sandbox.create("unknown", options)).rejects.toThrow("template 'unknown' not found");
});
