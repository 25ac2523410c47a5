/** Rules of the protocol that no single call is about. */
import { randomUUID } from "node:crypto";
import { Sandbox, SandboxNotFoundError } from "e2b";
import { expect, inject, test } from "vitest";
import { rest } from "../support/rest.ts";
import { deleteAtEnd, killAtEnd, newSandbox, sdk, until } from "../support/sandboxes.ts";

async function made(body: object, path = "/v2/sandboxes"): Promise<{ sandboxID: string; trafficAccessToken: string | null }> {
	const answer = await rest("POST", path, { templateID: "base", ...body });
	expect([answer.status, answer.body.message]).toEqual([201, undefined]);
	killAtEnd(await Sandbox.connect(answer.body.sandboxID, { ...sdk(), timeoutMs: 1_000 }));
	return answer.body;
}

const detail = async (id: string) => (await rest("GET", `/sandboxes/${id}`)).body;
const seconds = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1000;

test("a resume may say what happens at the end from then on", async () => {
	const sandbox = await newSandbox();
	const onTimeout = async (body: object) => {
		await sandbox.pause();
		expect((await rest("POST", `/sandboxes/${sandbox.sandboxId}/resume`, body)).status).toBe(201);
		return (await detail(sandbox.sandboxId)).lifecycle.onTimeout;
	};
	expect([await onTimeout({}), await onTimeout({ autoPause: true }), await onTimeout({ timeout: 60 })]).toEqual([
		"kill",
		"pause",
		"pause",
	]);
});

test("variables as large as they may be reach every command", async () => {
	const envs = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`LARGE_${n}`, "x".repeat(100 * 1024)]));
	const sandbox = await newSandbox("base", { envs: { ...envs, LONGEST: "x".repeat(20 * 1024) } });
	const { stdout } = await sandbox.commands.run("echo $(( $(env | wc -c) > 1040000 )) $(printenv LARGE_9 | wc -c)");
	expect(stdout).toBe("1 102401\n");
	const { body } = await rest("POST", "/v2/sandboxes", { templateID: "base", envVars: { ...envs, MORE: "x".repeat(30 * 1024) } });
	expect(body).toMatchObject({ code: 400, message: expect.stringContaining("envVars") });
});

test("requests are read however clients write them", async () => {
	const { url, sdk: options } = inject("server");
	expect((await fetch(`${url}/v2/sandboxes`, { headers: { Authorization: `Bearer ${options.apiKey}` } })).status).toBe(200);
	expect((await fetch(`${url}/health`)).status).toBe(204);
	const metadata = { read: randomUUID() };
	const body = new Blob([JSON.stringify({ templateID: "base", metadata, neverHeardOf: { a: [1] } })]).stream();
	const headers = { "X-API-KEY": options.apiKey, "X-Never-Heard-Of": "1" };
	const created = await fetch(`${url}/v2/sandboxes`, { method: "POST", headers, body, duplex: "half" } as RequestInit);
	expect(created.status).toBe(201);
	const { sandboxID } = (await created.json()) as { readonly sandboxID: string };
	const sandbox = killAtEnd(await Sandbox.connect(sandboxID, options));
	// No body at all, with and without a content type.
	const none = (path: string, type: Record<string, string>) =>
		fetch(url + path, { method: "POST", headers: { ...headers, ...type } });
	expect((await none(`/v2/sandboxes/${sandboxID}/connect`, {})).status).toBe(200);
	expect((await none(`/sandboxes/${sandboxID}/pause`, { "content-type": "application/json" })).status).toBe(204);
	for (const states of ["state=running,paused", "state=running&state=paused"]) {
		const { body } = await rest("GET", `/v2/sandboxes?${states}&metadata=read%3D${metadata.read}`);
		expect(body).toMatchObject([{ sandboxID, state: "paused", metadata }]);
	}
	await sandbox.connect();
});

test("a sandbox has the time that its generation of the API gives, and says when it began and ends", async () => {
	const first = (await rest("POST", "/sandboxes", { templateID: "base" })).body;
	const older = await detail(first.sandboxID);
	await rest("POST", `/sandboxes/${first.sandboxID}/refreshes`, { duration: 1 });
	expect(seconds(older.endAt, (await detail(first.sandboxID)).endAt)).toBeGreaterThan(0);
	const { sandboxID } = await made({});
	const newer = await detail(sandboxID);
	expect([seconds(older.startedAt, older.endAt), seconds(newer.startedAt, newer.endAt)]).toEqual([15, 300]);
	expect([older.envdAccessToken, typeof newer.envdAccessToken]).toEqual([undefined, "string"]);

	const sandbox = await Sandbox.connect(sandboxID, { ...sdk(), timeoutMs: 1_000 });
	deleteAtEnd((await sandbox.createSnapshot()).snapshotId);
	for (const fork of await sandbox.fork()) if (fork instanceof Sandbox) killAtEnd(fork);
	expect((await detail(sandboxID)).endAt).toBe(newer.endAt);
	await sandbox.pause();
	const paused = await detail(sandboxID);
	expect([paused.startedAt, paused.endAt < newer.endAt]).toEqual([newer.startedAt, true]);
	await sandbox.connect();
	expect(seconds(paused.endAt, (await detail(sandboxID)).startedAt)).toBeGreaterThan(0);
	expect((await rest("POST", `/sandboxes/${sandboxID}/timeout`, { timeout: -1 })).status).toBe(204);
	await until("its time to be over", async () => (await rest("GET", `/sandboxes/${sandboxID}`)).status === 404);
});

test("what a sandbox was created with outlives a pause, and traffic that wakes it gives it five minutes", async () => {
	const metadata = { kept: randomUUID() };
	const { sandboxID } = await made({
		timeout: 60,
		metadata,
		autoPause: true,
		autoResume: { enabled: true },
		network: { denyOut: ["203.0.113.0/24"], allowPublicTraffic: false },
	});
	const sandbox = await Sandbox.connect(sandboxID, { ...sdk(), timeoutMs: 1_000 });
	const { startedAt, endAt, ...before } = await detail(sandboxID);
	await sandbox.pause();
	expect((await sandbox.commands.run("echo woken")).stdout).toBe("woken\n");
	const { startedAt: again, endAt: later, ...after } = await detail(sandboxID);
	expect(after).toEqual(before);
	expect(after).toMatchObject({ metadata, lifecycle: { onTimeout: "pause", autoResume: true } });
	expect([seconds(startedAt, endAt), seconds(again, later)]).toEqual([60, 300]);
});

test("options that exclude each other are refused, and a token for private ports is given only for those", async () => {
	const refused = async (body: object, path = "/v2/sandboxes") => {
		const answer = await rest("POST", path, { templateID: "base", ...body });
		expect([body, answer.status, answer.body.code]).toEqual([body, 400, 400]);
		return answer.body.message;
	};
	expect(await refused({ autoPauseMemory: false })).toContain("autoPause");
	expect(await refused({ autoPause: true, autoPauseMemory: false, autoResume: { enabled: true } })).toContain("autoResume");
	expect(await refused({ secure: false, network: { allowPublicTraffic: false } }, "/sandboxes")).toContain("allowPublicTraffic");
	expect(await refused({ network: { allowOut: ["example.com"] } })).toContain("allowOut");
	expect((await made({})).trafficAccessToken).toBeNull();
	expect((await made({ network: { allowPublicTraffic: false } })).trafficAccessToken).toEqual(expect.any(String));
});

test("names are trimmed and small, within the team's own namespace, and no tag is a UUID", async () => {
	const sandbox = await newSandbox();
	const name = `rule-${randomUUID().slice(0, 8)}`;
	const { snapshotId } = await sandbox.createSnapshot({ name: ` ${name.toUpperCase()}:V1.0 ` });
	deleteAtEnd(snapshotId);
	const [namespace] = snapshotId.split("/");
	expect(snapshotId).toBe(`${namespace}/${name}:v1.0`);
	for (const ref of [snapshotId, `${name}:V1.0`]) await (await Sandbox.create(ref, sdk())).kill();
	expect((await sandbox.createSnapshot({ name: `${namespace}/${name}` })).names).toEqual([`${namespace}/${name}`]);
	const refused = async (given: string) => sandbox.createSnapshot({ name: given }).catch((error: unknown) => String(error));
	expect(await refused("elsewhere/x")).toMatch(/400.*namespace/);
	expect(await refused(`x:${randomUUID()}`)).toMatch(/400.*UUID/);
	expect(await refused("a b")).toMatch(/400/);
});

test("a snapshot tells its size, how long its source stood still, and where it came from", async () => {
	const source = await newSandbox();
	const first = (await rest("POST", `/sandboxes/${source.sandboxId}/snapshots`, {})).body;
	deleteAtEnd(first.snapshotID);
	expect(first).toMatchObject({ names: [], memory: true, sourceSandboxID: source.sandboxId, engineVersion: expect.any(String) });
	expect([first.sizeBytes > 0, first.pauseMs > 0]).toEqual([true, true]);
	const child = await newSandbox(first.snapshotID);
	const second = (await rest("POST", `/sandboxes/${child.sandboxId}/snapshots`, {})).body;
	deleteAtEnd(second.snapshotID);
	expect(second.parentSnapshotID).toBe(first.snapshotID);
});

test("a page's token belongs to its list, and running ones are counted only where they are asked for", async () => {
	await newSandbox();
	await newSandbox();
	const token = (await rest("GET", "/v2/sandboxes?limit=1&order=asc")).headers.get("x-next-token") ?? "";
	const other = await rest("GET", `/v2/sandboxes?limit=1&nextToken=${token}`);
	expect(other.body).toMatchObject({ code: 400, message: "Invalid next token" });
	expect((await rest("GET", "/v2/sandboxes?state=paused")).headers.get("x-total-running")).toBeNull();
	expect((await rest("GET", "/v2/sandboxes?state=running")).headers.get("x-total-running")).toMatch(/^\d+$/);
});

test("measures of a time before the sandbox are none, end with it, and come of a hundred at most", async () => {
	const sandbox = await newSandbox();
	const { startedAt } = await sandbox.getInfo();
	const end = new Date(startedAt.getTime() - 60_000);
	expect(await sandbox.getMetrics({ start: new Date(end.getTime() - 60_000), end })).toEqual([]);
	await sandbox.kill();
	await expect(sandbox.getMetrics()).rejects.toThrow(SandboxNotFoundError);
	const many = Array.from({ length: 101 }, (_, index) => `i${String(index).padStart(20, "0")}`).join();
	expect((await rest("GET", `/sandboxes/metrics?sandbox_ids=${many}`)).status).toBe(400);
});

test("a key of a request that made nothing may be used for another", async () => {
	const headers = { "Idempotency-Key": `again-${randomUUID()}` };
	const failed = await rest("POST", "/v2/sandboxes", { templateID: "no-such-template" }, headers);
	expect(failed.status).toBe(404);
	const { status, body } = await rest("POST", "/v2/sandboxes", { templateID: "base" }, headers);
	expect(status).toBe(201);
	killAtEnd(await Sandbox.connect(body.sandboxID, sdk()));
});
