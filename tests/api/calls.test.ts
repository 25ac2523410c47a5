/** The control plane through the JavaScript client, call by call. */
import { randomUUID } from "node:crypto";
import { AuthenticationError, NotFoundError, Sandbox, SandboxNotFoundError } from "e2b";
import { describe, expect, test } from "vitest";
import { rest } from "../support/rest.ts";
import { deleteAtEnd, killAtEnd, newSandbox, sdk } from "../support/sandboxes.ts";

const UNKNOWN = "i00000000000000000000";

/** Seconds until the sandbox's end. */
async function left(sandbox: Sandbox): Promise<number> {
	return ((await sandbox.getInfo()).endAt.getTime() - Date.now()) / 1000;
}

async function listed(query: NonNullable<Parameters<typeof Sandbox.list>[0]>): Promise<string[]> {
	const ids: string[] = [];
	const pages = Sandbox.list({ ...query, ...sdk() });
	while (pages.hasNext) ids.push(...(await pages.nextItems()).map(({ sandboxId }) => sandboxId));
	return ids;
}

test("a sandbox is created with what was asked for, and tells it", async () => {
	const metadata = { purpose: randomUUID(), "a b": "c&d=é/%" };
	const sandbox = await newSandbox("base", {
		metadata,
		envs: { GIVEN: "at creation" },
		timeoutMs: 90_000,
		lifecycle: { onTimeout: "pause", autoResume: true },
		network: { denyOut: ["203.0.113.0/24"] },
		allowInternetAccess: true,
	});
	const { startedAt, endAt, ...info } = await sandbox.getInfo();
	expect(info).toMatchObject({
		sandboxId: sandbox.sandboxId,
		name: "base",
		metadata,
		state: "running",
		cpuCount: 2,
		memoryMB: 1024,
		lifecycle: { onTimeout: "pause", autoResume: true },
		network: { denyOut: ["203.0.113.0/24"] },
		allowInternetAccess: true,
	});
	expect(endAt.getTime() - startedAt.getTime()).toBe(90_000);
	expect((await sandbox.commands.run("echo $GIVEN")).stdout).toBe("at creation\n");
	const again = await Sandbox.connect(sandbox.sandboxId, sdk());
	expect((await again.commands.run("echo $GIVEN")).stdout).toBe("at creation\n");
	expect(await listed({ query: { metadata } })).toEqual([sandbox.sandboxId]);
});

test("lists are filtered by metadata, state, template and start, in either order, page by page", async () => {
	const metadata = { list: randomUUID() };
	const first = await newSandbox("base", { metadata: { ...metadata, number: "1" } });
	const second = await newSandbox("base", { metadata });
	const third = await newSandbox("base", { metadata });
	await first.pause();
	const [a, b, c] = [first.sandboxId, second.sandboxId, third.sandboxId];
	expect(await listed({ query: { metadata } })).toEqual([c, b, a]);
	expect(await listed({ query: { metadata }, limit: 1 })).toEqual([c, b, a]);
	expect(await listed({ query: { metadata }, order: "asc", limit: 2 })).toEqual([a, b, c]);
	expect(await listed({ query: { metadata: { ...metadata, number: "1" } } })).toEqual([a]);
	expect(await listed({ query: { metadata, state: ["paused"] } })).toEqual([a]);
	expect(await listed({ query: { metadata, state: ["running"] } })).toEqual([c, b]);
	const { startedAt, templateId } = await second.getInfo();
	expect(await listed({ query: { metadata, startedAfter: startedAt } })).toEqual([c, b]);
	expect(await listed({ query: { metadata, template: templateId } })).toEqual([c, b, a]);
	expect(await listed({ query: { metadata, template: "no-such-template" } })).toEqual([]);
	const page = await rest("GET", "/v2/sandboxes?limit=1");
	expect([page.headers.get("x-next-token"), page.headers.get("x-total-running")]).toEqual([
		expect.any(String),
		expect.stringMatching(/^\d+$/),
	]);
	expect((await rest("GET", "/v2/sandboxes?template=base:default")).status).toBe(400);
	const v1 = (await rest("GET", `/sandboxes?metadata=list%3D${metadata.list}`)).body;
	expect(v1.map(({ sandboxID }: { sandboxID: string }) => sandboxID)).toEqual([c, b]);
});

test("a time limit is set to anything up to the longest, and only ever extended by connecting and refreshing", async () => {
	const sandbox = await newSandbox("base", { timeoutMs: 600_000 });
	await sandbox.setTimeout(120_000);
	expect(await left(sandbox)).toBeLessThanOrEqual(120);
	await Sandbox.connect(sandbox.sandboxId, { ...sdk(), timeoutMs: 60_000 });
	expect(await left(sandbox)).toBeGreaterThan(60);
	await Sandbox.connect(sandbox.sandboxId, { ...sdk(), timeoutMs: 900_000 });
	expect(await left(sandbox)).toBeGreaterThan(600);
	expect((await rest("POST", `/sandboxes/${sandbox.sandboxId}/refreshes`, { duration: 1800 })).status).toBe(204);
	expect(await left(sandbox)).toBeGreaterThan(900);
	await sandbox.setTimeout(25 * 3_600_000);
	expect(await left(sandbox)).toBeLessThanOrEqual(24 * 3600);
	await expect(Sandbox.create("base", { ...sdk(), timeoutMs: 25 * 3_600_000 })).rejects.toThrow(
		"Timeout cannot be greater than 24 hours",
	);
});

describe("what is over when a call returns", () => {
	test("of a killed sandbox nothing is left", async () => {
		const metadata = { end: randomUUID() };
		const sandbox = await newSandbox("base", { metadata });
		expect(await sandbox.kill()).toBe(true);
		expect([await sandbox.isRunning(), await listed({ query: { metadata } }), await sandbox.kill()]).toEqual([false, [], false]);
		await expect(sandbox.getInfo()).rejects.toThrow(SandboxNotFoundError);
		await expect(Sandbox.connect(sandbox.sandboxId, sdk())).rejects.toThrow(SandboxNotFoundError);
	});

	test("a paused sandbox does not run, is paused once, and is neither forked nor snapshotted", async () => {
		const sandbox = await newSandbox("base", { timeoutMs: 600_000 });
		expect([await sandbox.pause(), await sandbox.isRunning(), await sandbox.pause()]).toEqual([true, false, false]);
		expect((await sandbox.getInfo()).state).toBe("paused");
		await expect(sandbox.fork()).rejects.toThrow("is paused and cannot be forked; resume it first");
		await expect(sandbox.createSnapshot()).rejects.toThrow(NotFoundError);
		await expect(sandbox.setTimeout(60_000)).rejects.toThrow(SandboxNotFoundError);
		await sandbox.connect({ timeoutMs: 120_000 });
		expect(await left(sandbox)).toBeLessThanOrEqual(120);
		expect(await sandbox.isRunning()).toBe(true);
	});
});

test("connecting wakes with 201 what is paused and answers 200 for what runs, in both APIs; the old resume refuses what runs", async () => {
	const sandbox = await newSandbox();
	const path = `sandboxes/${sandbox.sandboxId}`;
	for (const connect of [`/v2/${path}/connect`, `/${path}/connect`]) {
		expect((await rest("POST", connect, { timeout: 60 })).status).toBe(200);
		await sandbox.pause();
		expect(await rest("POST", connect, { timeout: 60 })).toMatchObject({ status: 201, body: { sandboxID: sandbox.sandboxId } });
	}
	expect((await rest("POST", `/${path}/resume`, {})).status).toBe(409);
	await sandbox.pause();
	expect((await rest("POST", `/${path}/resume`, {})).status).toBe(201);
	expect((await rest("POST", `/${path}-6532622b/timeout`, { timeout: 60 })).status).toBe(204);
});

test("refusals arrive as the client's own errors", async () => {
	await expect(Sandbox.create("base", { ...sdk(), apiKey: `e2b_${"0".repeat(40)}` })).rejects.toThrow(AuthenticationError);
	await expect(Sandbox.create("no-such-template", sdk())).rejects.toThrow("template 'no-such-template' not found");
	await expect(Sandbox.create("base:no-such-tag", sdk())).rejects.toThrow("tag 'no-such-tag' does not exist for template 'base'");
	await expect(Sandbox.connect(UNKNOWN, sdk())).rejects.toThrow(SandboxNotFoundError);
	await expect(Sandbox.getInfo(UNKNOWN, sdk())).rejects.toThrow(SandboxNotFoundError);
	expect([await Sandbox.kill(UNKNOWN, sdk()), await Sandbox.deleteSnapshot("no-such-snapshot", sdk())]).toEqual([false, false]);
	await expect(Sandbox.setTimeout(UNKNOWN, 60_000, sdk())).rejects.toThrow(SandboxNotFoundError);
	await expect(Sandbox.create("base", { ...sdk(), network: { denyOut: ["example.com"] } })).rejects.toThrow(/400.*denyOut/);
});

test("forks are as many as asked for, keep what their source was given, and are counted from one to a hundred", async () => {
	const source = await newSandbox("base", { metadata: { forked: "yes" }, envs: { OF: "source" } });
	const forks = await source.fork({ count: 2 });
	const sandboxes = forks.map((fork) => {
		if (!(fork instanceof Sandbox)) throw fork;
		return killAtEnd(fork);
	});
	expect(new Set([source, ...sandboxes].map(({ sandboxId }) => sandboxId)).size).toBe(3);
	for (const sandbox of sandboxes) {
		expect((await sandbox.getInfo()).metadata).toEqual({ forked: "yes" });
		expect((await sandbox.commands.run("echo $OF")).stdout).toBe("source\n");
		expect(await left(sandbox)).toBeGreaterThan(200);
	}
	for (const count of [0, 101]) await expect(source.fork({ count })).rejects.toThrow(/400|ount/);
});

test("snapshots are found by source and by name with and without tag", async () => {
	const sandbox = await newSandbox();
	const name = `calls-${randomUUID().slice(0, 8)}`;
	const named = await sandbox.createSnapshot({ name: `${name}:v1` });
	deleteAtEnd(named.snapshotId);
	const unnamed = await sandbox.createSnapshot();
	deleteAtEnd(unnamed.snapshotId);
	expect(named).toMatchObject({ snapshotId: expect.stringMatching(new RegExp(`^[a-z0-9-]+/${name}:v1$`)) });
	expect(unnamed).toMatchObject({ snapshotId: expect.stringMatching(/^[a-z0-9]{20}:default$/), names: [] });
	const find = async (query: string) =>
		(await rest("GET", `/snapshots?${query}`)).body.map(({ snapshotID }: { snapshotID: string }) => snapshotID);
	expect(await find(`sandboxID=${sandbox.sandboxId}`)).toEqual([unnamed.snapshotId, named.snapshotId]);
	expect(await find(`name=${name}`)).toEqual([named.snapshotId]);
	expect(await find(`name=${name}:v1`)).toEqual([named.snapshotId]);
	expect(await find(`name=${name}:default`)).toEqual([]);
	expect(await find("name=no-such-name")).toEqual([]);
	expect((await rest("GET", "/snapshots?name=elsewhere/x")).status).toBe(400);
	const child = await newSandbox(named.snapshotId);
	expect(await Sandbox.deleteSnapshot(named.snapshotId, sdk()).catch((error: unknown) => String(error))).toMatch(
		/400.*cannot delete/,
	);
	await child.kill();
	expect(await Sandbox.deleteSnapshot(named.snapshotId, sdk())).toBe(true);
});
