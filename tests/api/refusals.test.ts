/** What clients raise when the server says no. */
import { RateLimitError, Sandbox, SandboxError } from "e2b";
import { expect, inject, test } from "vitest";
import { offshoot } from "../support/cli.ts";
import { runPython } from "../support/python.ts";
import { rest } from "../support/rest.ts";
import { killAtEnd, newSandbox, sdk } from "../support/sandboxes.ts";
import { newTeam } from "../support/teams.ts";

test("one sandbox too many is a 429 that names the limit, and that no client repeats by itself", async () => {
	const { slug, apiKey } = await newTeam();
	await offshoot("team", "limits", slug, "--sandboxes", "2");
	const options = { ...sdk(), apiKey };
	const waking = { onTimeout: "pause", autoResume: true } as const;
	const asleep = killAtEnd(await Sandbox.create("base", { ...options, lifecycle: waking }));
	await asleep.pause();
	const first = killAtEnd(await Sandbox.create("base", options));
	killAtEnd(await Sandbox.create("base", options));
	const limit = "Sandbox limit reached: 2 sandboxes of this team run already; kill or pause one first";
	const refused = await Sandbox.create("base", options).catch((error: unknown) => error);
	expect(refused).toBeInstanceOf(RateLimitError);
	expect(String(refused)).toContain(limit);
	const raw = await rest("POST", "/v2/sandboxes", { templateID: "base" }, { "X-API-KEY": apiKey });
	expect([raw.status, raw.body]).toEqual([429, { code: 429, message: limit, error_code: "sandbox_concurrency_limit" }]);
	expect([raw.headers.get("should-retry"), raw.headers.get("retry-after")]).toEqual(["false", null]);
	const traffic = await fetch(options.sandboxUrl, {
		headers: { "E2b-Sandbox-Id": asleep.sandboxId, "E2b-Sandbox-Port": "8000" },
	});
	expect([traffic.status, await traffic.json()]).toEqual([429, { sandboxId: asleep.sandboxId, message: limit, code: 429 }]);
	// The request is refused, not each of its forks: its source does not stand still for nothing.
	await expect(first.fork()).rejects.toBeInstanceOf(RateLimitError);
	await expect(first.fork({ count: 2 })).rejects.toThrow(/^400: /);
	await runPython({ ...inject("server").env, E2B_API_KEY: apiKey }, "refusals.py", first.sandboxId);
});

test("what a state does not allow is a 409", async () => {
	const sandbox = await newSandbox();
	await sandbox.pause();
	const fork = await sandbox.fork().catch((error: unknown) => error);
	expect(fork).toBeInstanceOf(SandboxError);
	expect(fork).toMatchObject({
		statusCode: 409,
		message: expect.stringContaining("is paused and cannot be forked; resume it first"),
	});
	expect((await rest("POST", `/sandboxes/${sandbox.sandboxId}/pause`, {})).body).toMatchObject({ code: 409 });
	for (const what of CHANGES)
		expect([what, await statusOf(sandbox.sandboxId, what)]).toEqual([what, what === "fork" ? 409 : 404]);
});

/** Operations on a running sandbox that no pause may be mixed with. */
const CHANGES = ["timeout", "refreshes", "network", "snapshots", "fork"] as const;

async function statusOf(sandboxId: string, what: (typeof CHANGES)[number]): Promise<number> {
	const body = what === "timeout" ? { timeout: 60 } : {};
	return (await rest(what === "network" ? "PUT" : "POST", `/sandboxes/${sandboxId}/${what}`, body)).status;
}

test("a sandbox that is being paused is shown as paused and refuses changes with 409, and connecting waits to wake it", async () => {
	const sandbox = await newSandbox();
	// Takes a pause long enough for all that comes meanwhile.
	const { stdout } = await sandbox.commands.run("head -c 300000000 /dev/urandom > /dev/shm/held; sha256sum /dev/shm/held");
	let paused = false;
	const pausing = sandbox.pause().then(() => {
		paused = true;
	});
	const state = async () => (await sandbox.getInfo()).state;
	while ((await state()) !== "paused");
	const refused = Promise.all(CHANGES.map((what) => statusOf(sandbox.sandboxId, what)));
	const connecting = sandbox.connect();
	expect([await refused, paused]).toEqual([CHANGES.map(() => 409), false]);
	await Promise.all([pausing, connecting]);
	expect(await state()).toBe("running");
	expect((await sandbox.commands.run("sha256sum /dev/shm/held")).stdout).toBe(stdout);
});

const BUILD = "/templates/abc/builds/0d5cc1ea-0000-4000-8000-000000000000";

/** Routes of the protocol that are not served yet, or not any more. */
const LATER = [
	[
		501,
		[
			"POST /v3/templates",
			"POST /v2/templates",
			`GET /templates/abc/files/${"0".repeat(64)}`,
			`POST /v2${BUILD}`,
			`GET ${BUILD}/status`,
			`GET ${BUILD}/logs`,
			"GET /volumes",
			"POST /volumes",
			"GET /volumes/x",
			"DELETE /volumes/x",
			"GET /volumecontent/x/path?path=/",
			"PATCH /volumecontent/x/path?path=/",
			"DELETE /volumecontent/x/path?path=/",
			"GET /volumecontent/x/dir?path=/",
			"POST /volumecontent/x/dir?path=/",
			"GET /volumecontent/x/file?path=/",
			"PUT /volumecontent/x/file?path=/",
			"GET /secrets",
			"POST /secrets",
			"GET /secrets/x",
			"POST /secrets/x",
			"DELETE /secrets/x",
		],
	],
	[400, ["POST /templates", "POST /templates/abc", `POST ${BUILD}`]],
	[410, ["POST /access-tokens", "DELETE /access-tokens/x"]],
] as const;

test("what is not there yet is a 501 that says what to leave out", async () => {
	const options = { ...sdk(), iam: { tokens: { aws: { audience: "x", tokenType: "JWT-SVID" } } } };
	await expect(Sandbox.create("base", options as Parameters<typeof Sandbox.create>[1])).rejects.toThrow(
		/501: iam: .*leave it out/,
	);
	const volumes = await rest("POST", "/v2/sandboxes", { templateID: "base", volumeMounts: [{ name: "v", path: "/v" }] });
	expect(volumes).toMatchObject({ status: 501, body: { message: expect.stringContaining("volumeMounts") } });
	const proxied = { templateID: "base", network: { egressProxy: { address: "192.0.2.1:1080", tls: { enabled: true } } } };
	expect(await rest("POST", "/v2/sandboxes", proxied)).toMatchObject({
		status: 501,
		body: { message: expect.stringContaining("network.egressProxy.tls") },
	});
	for (const template of ["mcp-gateway", "base"]) {
		await expect(Sandbox.create(template, { ...sdk(), mcp: {} })).rejects.toThrow(/501: mcp: .*leave it out/);
	}
	for (const [status, routes] of LATER) {
		for (const route of routes) {
			const [method = "", path = ""] = route.split(" ");
			const answer = await rest(method, path, method === "GET" || method === "DELETE" ? undefined : {});
			expect([route, answer.status, answer.body?.code]).toEqual([route, status, status]);
		}
	}
});

test("name servers of a sandbox's own are a field that nobody knows: it asks its gateway", async () => {
	const created = await rest("POST", "/v2/sandboxes", { templateID: "base", network: { dnsServers: ["192.0.2.53"] } });
	const sandbox = killAtEnd(await Sandbox.connect(created.body.sandboxID, sdk()));
	const { stdout } = await sandbox.commands.run("ip route show default; cat /etc/resolv.conf");
	const [, gateway = "none"] = /^default via (\S+)/.exec(stdout) ?? [];
	expect([...stdout.matchAll(/^nameserver (\S+)/gm)].map(([, address]) => address)).toEqual([gateway]);
});

test("every answer has a name of its own, under which the server's log has it", async () => {
	const names = await Promise.all(["/health", "/v2/sandboxes", "/sandboxes/inone", "/none"].map((path) => rest("GET", path)));
	const ids = names.map(({ headers }) => headers.get("x-e2b-trace-id"));
	expect(ids).toEqual(ids.map(() => expect.stringMatching(/^[0-9a-f]{32}$/)));
	expect(new Set(ids).size).toBe(4);
});
