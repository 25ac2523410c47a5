import { cpus } from "node:os";
import { Sandbox } from "e2b";
import { expect, inject, test } from "vitest";
import { adminToken, asOperator } from "../support/operator.ts";
import { rest } from "../support/rest.ts";
import { newSandbox, sdk } from "../support/sandboxes.ts";
import { newTeam } from "../support/teams.ts";

test("the operator sees the host, what runs on it, and which builds it holds", async () => {
	const sandbox = await newSandbox();
	const [team] = (await rest("GET", "/teams")).body;
	expect((await rest("GET", "/nodes")).status).toBe(401);
	const [node] = (await asOperator("GET", "/nodes")).body;
	expect(node).toMatchObject({ status: "ready", metrics: { cpuCount: cpus().length } });
	expect(node.sandboxCount).toBeGreaterThanOrEqual(1);
	expect(node.createSuccesses).toBeGreaterThanOrEqual(1);
	expect(node.metrics.disks[0].totalBytes).toBeGreaterThan(node.metrics.disks[0].usedBytes);
	const { body: detail } = await asOperator("GET", `/nodes/${node.id}`);
	const { templateId } = await sandbox.getInfo();
	const [build] = (await rest("GET", `/templates/${templateId}`)).body.builds;
	expect(detail.cachedBuilds).toContain(build.buildID);
	expect((await asOperator("GET", "/admin/sandboxes/running-counts")).body[team.teamID]).toBeGreaterThanOrEqual(1);
	expect((await asOperator("GET", "/nodes/elsewhere")).status).toBe(404);
});

test("the operator gives a team a key and takes it back", async () => {
	const { teamId } = await newTeam();
	const { body: made } = await asOperator("POST", `/admin/teams/${teamId}/api-keys`, { name: "given" });
	const use = () => rest("GET", "/teams", undefined, { "X-API-KEY": made.key });
	expect((await use()).body).toMatchObject([{ teamID: teamId }]);
	expect((await asOperator("DELETE", `/admin/teams/${teamId}/api-keys/${made.id}`)).status).toBe(204);
	expect((await use()).status).toBe(401);
});

test("every team sees the platform's templates apart from its own", async () => {
	const { apiKey } = await newTeam();
	const { body } = await rest("GET", "/default-templates", undefined, { "X-API-KEY": apiKey });
	expect(body.flatMap(({ names }: { readonly names: readonly string[] }) => names)).toContain("base");
	const { body: tags } = await rest("GET", "/templates/base/tags/exists?tag=default");
	expect(tags).toEqual({ exists: true, normalizedTag: "default" });
});

test("the operator makes teams, sees them, acts in their place and ends all their sandboxes", async () => {
	const { teamId, slug, apiKey } = await newTeam();
	expect((await asOperator("GET", "/admin/teams")).body).toContainEqual(expect.objectContaining({ teamID: teamId, slug }));
	expect((await rest("GET", "/admin/teams")).status).toBe(401);
	const options = { ...sdk(), apiKey };
	const running = await Sandbox.create("base", options);
	const paused = await Sandbox.create("base", options);
	await paused.pause();
	const inPlace = { "X-Admin-Token": await adminToken(inject("server").dataDir), "X-Team-ID": teamId, "X-API-KEY": "" };
	const listed = (await rest("GET", "/v2/sandboxes", undefined, inPlace)).body;
	expect(listed.map(({ sandboxID }: { sandboxID: string }) => sandboxID).toSorted()).toEqual(
		[running.sandboxId, paused.sandboxId].toSorted(),
	);
	expect((await rest("GET", "/teams", undefined, inPlace)).body).toMatchObject([{ teamID: teamId, apiKey: "" }]);
	expect((await rest("GET", "/teams", undefined, { "X-Team-ID": teamId })).status).toBe(403);
	const { status, body } = await asOperator("POST", `/admin/teams/${teamId}/sandboxes/kill`);
	expect([status, body]).toEqual([200, { killedCount: 2, failedCount: 0 }]);
	expect([await running.isRunning(), await Sandbox.list(options).nextItems()]).toEqual([false, []]);
	expect((await asOperator("POST", "/admin/teams/none/sandboxes/kill")).status).toBe(404);
	expect((await asOperator("POST", `/admin/teams/${teamId}/builds/cancel`)).status).toBe(501);
});
