import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Sandbox } from "e2b";
import { describe, expect, inject, test } from "vitest";
import { offshoot } from "../support/cli.ts";
import { type Answer, rest } from "../support/rest.ts";
import { deleteAtEnd, killAtEnd, newSandbox, sdk, until } from "../support/sandboxes.ts";
import { newTeam } from "../support/teams.ts";

/** Bodies that a route accepts, so that a refusal can only come from whose object it is. */
const BODIES: Readonly<Record<string, unknown>> = {
	"PATCH /api-keys/{keyID}": { name: "stolen" },
	"PATCH /templates/{templateID}": { public: true },
	"PATCH /v2/templates/{templateID}": { public: true },
	"POST /sandboxes/{sandboxID}/connect": { timeout: 60 },
	"POST /sandboxes/{sandboxID}/timeout": { timeout: 1 },
};

/** Queries without which a route refuses everything, by the end of its path. */
const QUERIES: Readonly<Record<string, string>> = { "/metrics/max": "?metric=concurrent_sandboxes", "/tags/exists": "?tag=v1" };

interface Route {
	readonly method: string;
	readonly path: string;
}

/** Every documented route whose path names an object of a team. */
async function routesWithObjects(): Promise<readonly Route[]> {
	const { paths } = (await rest("GET", "/openapi.json")).body;
	return Object.entries<object>(paths)
		.filter(([path]) => path.includes("{") && !/^\/(admin|nodes)\//.test(path))
		.flatMap(([path, methods]) => Object.keys(methods).map((method) => ({ method: method.toUpperCase(), path })));
}

function asked({ method, path }: Route, objects: Readonly<Record<string, string>>, apiKey: string): Promise<Answer> {
	const url = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => objects[name] ?? `unknown-${name}`);
	const query = Object.entries(QUERIES).find(([end]) => path.endsWith(end))?.[1] ?? "";
	const body = method === "GET" || method === "DELETE" ? undefined : (BODIES[`${method} ${path}`] ?? {});
	return rest(method, url + query, body, { "X-API-KEY": apiKey });
}

describe("another team", () => {
	test("finds nothing of the first one under any route of the API", async () => {
		const sandbox = await newSandbox();
		const { snapshotId } = await sandbox.createSnapshot({ name: `secret-${Date.now()}` });
		deleteAtEnd(snapshotId);
		const [team] = (await rest("GET", "/teams")).body;
		const key = await rest("POST", "/api-keys", { name: "target" });
		const objects: Readonly<Record<string, string>> = {
			sandboxID: sandbox.sandboxId,
			templateID: encodeURIComponent(snapshotId.split(":")[0] ?? ""),
			alias: encodeURIComponent(snapshotId.split(":")[0] ?? ""),
			keyID: key.body.id,
			teamID: team.teamID,
		};
		const other = await newTeam();
		const routes = await routesWithObjects();
		for (const { method, path } of routes) {
			const answer = await asked({ method, path }, objects, other.apiKey);
			expect([method, path, answer.status]).toEqual([method, path, path.includes("/aliases/") ? 403 : 404]);
		}
		expect(routes.length).toBeGreaterThan(20);
		expect(await sandbox.isRunning()).toBe(true);
		expect((await rest("GET", "/api-keys", undefined, { "X-API-KEY": key.body.key })).status).toBe(200);
		await rest("DELETE", `/api-keys/${key.body.id}`);
	});

	test("finds nothing of the first one by names in bodies and queries", async () => {
		const source = await newSandbox();
		const { snapshotId } = await source.createSnapshot({ name: `bodies-${Date.now()}:v1` });
		deleteAtEnd(snapshotId);
		const name = snapshotId.split(":")[0] ?? "";
		const [team] = (await rest("GET", "/teams")).body;
		const other = { "X-API-KEY": (await newTeam()).apiKey };
		const status = async (method: string, path: string, body?: object) => (await rest(method, path, body, other)).status;
		const found = async (path: string) => (await rest("GET", path, undefined, other)).body;
		const named = encodeURIComponent(name);
		expect(await status("POST", "/templates/tags", { target: snapshotId, tags: ["stolen"] })).toBe(404);
		expect(await status("DELETE", "/templates/tags", { name, tags: ["v1"] })).toBe(404);
		for (const path of ["/v2/sandboxes", "/sandboxes"]) expect(await status("POST", path, { templateID: snapshotId })).toBe(403);
		for (const path of ["/v2/templates", "/templates"]) expect(await status("GET", `${path}?teamID=${team.teamID}`)).toBe(403);
		expect(await status("GET", `/snapshots?name=${named}`)).toBe(400);
		expect(await found(`/snapshots?sandboxID=${source.sandboxId}`)).toEqual([]);
		expect(await found(`/v2/sandboxes?template=${named}`)).toEqual([]);
		expect((await rest("GET", `/templates/${named}/tags`)).body).toMatchObject([{ tag: "v1" }]);
	});

	test("has lists of its own, and names of its own", async () => {
		const other = await newTeam();
		const options = { ...sdk(), apiKey: other.apiKey };
		const mine = await newSandbox();
		const { snapshotId } = await mine.createSnapshot({ name: "shared-name" });
		deleteAtEnd(snapshotId);
		expect(await Sandbox.list(options).nextItems()).toEqual([]);
		expect(await Sandbox.listSnapshots(options).nextItems()).toEqual([]);
		await expect(Sandbox.create("shared-name", options)).rejects.toThrow("not found");
		await expect(Sandbox.create(snapshotId, options)).rejects.toThrow("403");
		expect((await rest("GET", "/api-keys", undefined, { "X-API-KEY": other.apiKey })).body).toHaveLength(1);
		const metrics = await rest("GET", `/sandboxes/metrics?sandbox_ids=${mine.sandboxId}`, undefined, {
			"X-API-KEY": other.apiKey,
		});
		expect(metrics.body).toEqual({ sandboxes: {} });
	});
});

test("limits of a team are set while the server runs, and the client is told which one it met", async () => {
	const { slug, apiKey } = await newTeam();
	const options = { ...sdk(), apiKey };
	expect((await offshoot("team", "limits", slug, "--sandboxes", "1", "--hours", "0.5")).stdout).toBe(
		"sandboxes: 1\nhours: 0.5\n",
	);
	await expect(Sandbox.create("base", { ...options, timeoutMs: 31 * 60_000 })).rejects.toThrow(
		"cannot be greater than 0.5 hours",
	);
	const first = killAtEnd(await Sandbox.create("base", options));
	await expect(Sandbox.create("base", options)).rejects.toThrow("1 sandboxes of this team run already");
	await expect(first.setTimeout(31 * 60_000)).resolves.toBeUndefined();
	const { startedAt, endAt } = await first.getInfo();
	expect(endAt.getTime() - startedAt.getTime()).toBe(30 * 60_000);
	for (const wrong of ["many", "2.5", "0"]) {
		await expect(offshoot("team", "limits", slug, "--sandboxes", wrong)).rejects.toMatchObject({ code: 1 });
	}
	expect((await offshoot("team", "limits", slug, "--sandboxes", "default")).stdout).toBe("sandboxes: default\nhours: 0.5\n");
	killAtEnd(await Sandbox.create("base", options));
});

test("a limit lowered below a sandbox's age lets its owner end it sooner and no later, and who asks for no time gets the limit", async () => {
	const { slug, apiKey } = await newTeam();
	const options = { ...sdk(), apiKey };
	const sandbox = killAtEnd(await Sandbox.create("base", options));
	const limit = (seconds: number) => offshoot("team", "limits", slug, "--hours", String(seconds / 3600));
	await limit(60);
	const bare = killAtEnd(await Sandbox.create("base", options));
	const { startedAt, endAt } = await bare.getInfo();
	expect(endAt.getTime() - startedAt.getTime()).toBe(60_000);
	expect((await sandbox.connect()).sandboxId).toBe(sandbox.sandboxId);
	await limit(1);
	await until("the sandbox to be older than its team's may be", async () => Date.now() - startedAt.getTime() > 1_500);
	await expect(sandbox.setTimeout(600_000)).rejects.toThrow("400: Max instance length exceeded");
	await sandbox.setTimeout(0);
	await until("the sandbox to end", async () => !(await sandbox.isRunning()));
});

/** Whether the text is in the server's database, or what it writes beside it. */
async function onDisk(text: string): Promise<boolean> {
	const { dataDir } = inject("server");
	const names = (await readdir(dataDir)).filter((name) => name.startsWith("offshoot.db"));
	const files = await Promise.all(names.map((name) => readFile(join(dataDir, name))));
	return files.some((bytes) => bytes.includes(text));
}

describe("keys", () => {
	test("are made, used, renamed and revoked; a revoked one opens nothing from then on", async () => {
		const { body: made } = await rest("POST", "/api-keys", { name: "ci" });
		const headers = { "X-API-KEY": made.key };
		expect(made.key).toMatch(/^e2b_[0-9a-f]{40}$/);
		expect((await rest("GET", "/v2/sandboxes", undefined, headers)).status).toBe(200);
		await rest("PATCH", `/api-keys/${made.id}`, { name: "build" });
		const listed = (await rest("GET", "/api-keys")).body.find((key: { id: string }) => key.id === made.id);
		expect(listed).toMatchObject({ name: "build", lastUsed: expect.any(String), createdBy: null });
		expect(Date.parse(listed.firstUsed)).toBeGreaterThanOrEqual(Date.parse(listed.createdAt));
		expect(await onDisk(made.id), "what is looked into").toBe(true);
		expect(await onDisk(made.key)).toBe(false);
		expect(JSON.stringify(listed)).not.toContain(made.key.slice(8, 30));
		expect((await rest("DELETE", `/api-keys/${made.id}`)).status).toBe(204);
		expect((await rest("GET", "/v2/sandboxes", undefined, headers)).status).toBe(401);
		expect((await rest("DELETE", `/api-keys/${made.id}`)).status).toBe(404);
	});

	test("of the operator's command line work with the running server at once", async () => {
		const slug = `cli-${Date.now()}`;
		const key = (await offshoot("team", "create", slug)).stdout.trim();
		expect((await rest("GET", "/teams", undefined, { "X-API-KEY": key })).body).toMatchObject([{ name: slug }]);
		const second = (await offshoot("key", "create", "second", "--team", slug)).stdout.trim();
		const { stdout } = await offshoot("key", "list", "--team", slug);
		expect(stdout).toContain(`${second.slice(0, 6)}…${second.slice(-4)}`);
		expect(stdout).not.toContain(second);
		const id = /^(\S+) +second/m.exec(stdout)?.[1] ?? "";
		await offshoot("key", "rename", id, "renamed", "--team", slug);
		await expect(offshoot("key", "revoke", id)).rejects.toMatchObject({ code: 1 });
		await offshoot("key", "revoke", id, "--team", slug);
		expect((await rest("GET", "/teams", undefined, { "X-API-KEY": second })).status).toBe(401);
	});
});
