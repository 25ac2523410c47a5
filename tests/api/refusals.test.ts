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
	const first = killAtEnd(await Sandbox.create("base", options));
	killAtEnd(await Sandbox.create("base", options));
	const limit = "Sandbox limit reached: 2 sandboxes of this team run already; kill or pause one first";
	const refused = await Sandbox.create("base", options).catch((error: unknown) => error);
	expect(refused).toBeInstanceOf(RateLimitError);
	expect(String(refused)).toContain(limit);
	const raw = await rest("POST", "/v2/sandboxes", { templateID: "base" }, { "X-API-KEY": apiKey });
	expect([raw.status, raw.body]).toEqual([429, { code: 429, message: limit, error_code: "sandbox_concurrency_limit" }]);
	expect([raw.headers.get("should-retry"), raw.headers.get("retry-after")]).toEqual(["false", null]);
	// A fork is refused for itself; the request succeeds.
	expect(await first.fork()).toEqual([expect.any(RateLimitError)]);
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
});

test("what is not there yet is a 501 that says what to leave out", async () => {
	const options = { ...sdk(), iam: { tokens: { aws: { audience: "x", tokenType: "JWT-SVID" } } } };
	await expect(Sandbox.create("base", options as Parameters<typeof Sandbox.create>[1])).rejects.toThrow(
		/501: iam: .*leave it out/,
	);
	const volumes = await rest("POST", "/v2/sandboxes", { templateID: "base", volumeMounts: [{ name: "v", path: "/v" }] });
	expect(volumes).toMatchObject({ status: 501, body: { message: expect.stringContaining("volumeMounts") } });
	await expect(Sandbox.create({ ...sdk(), mcp: {} })).rejects.toThrow("template 'mcp-gateway' not found");
	for (const [method, path] of [
		["POST", "/v3/templates"],
		["GET", "/volumes"],
		["GET", "/volumecontent/x/dir?path=/"],
		["GET", "/secrets"],
	] as const) {
		expect([path, (await rest(method, path, method === "POST" ? {} : undefined)).status]).toEqual([path, 501]);
	}
	expect((await rest("POST", "/access-tokens", { name: "x" })).status).toBe(410);
	expect((await rest("POST", "/templates", { dockerfile: "FROM base" })).body).toMatchObject({ code: 400 });
});

test("every answer has a name of its own, under which the server's log has it", async () => {
	const names = await Promise.all(["/health", "/v2/sandboxes", "/sandboxes/inone", "/none"].map((path) => rest("GET", path)));
	const ids = names.map(({ headers }) => headers.get("x-e2b-trace-id"));
	expect(ids).toEqual(ids.map(() => expect.stringMatching(/^[0-9a-f]{32}$/)));
	expect(new Set(ids).size).toBe(4);
});
