/** `offshoot snapshot`: what the operator sees of snapshots, and deletes. */
import { randomUUID } from "node:crypto";
import { Sandbox } from "e2b";
import { expect, test } from "vitest";
import { offshoot } from "../support/cli.ts";
import { deleteAtEnd, killAtEnd, newSandbox, sdk } from "../support/sandboxes.ts";
import { newTeam } from "../support/teams.ts";

test("snapshots are listed with name, source and size, and deleted unless in use", async () => {
	const source = await newSandbox();
	const name = `listed-${randomUUID().slice(0, 8)}`;
	const named = deleteAtEnd((await source.createSnapshot({ name: `${name}:v1` })).snapshotId);
	const full = named.replace(/:v1$/, "");
	await source.createSnapshot({ name: `${name}:v2` });
	const unnamed = deleteAtEnd((await source.createSnapshot()).snapshotId);
	const { stdout } = await offshoot("snapshot", "list");
	expect(stdout).toMatch(/^ID +NAME +SOURCE +CREATED +SIZE +HOLDS$/m);
	expect(stdout).toMatch(new RegExp(`^${named} +${full} +${source.sandboxId} +2\\d{3}-\\S+ +[\\d.]+ MB +memory and files$`, "m"));
	const listed = JSON.parse((await offshoot("snapshots", "list", "--json")).stdout);
	const mine = listed.filter((each: { sourceSandboxID: string }) => each.sourceSandboxID === source.sandboxId);
	expect(mine.map((each: { snapshotID: string }) => each.snapshotID)).toEqual([unnamed, `${full}:v2`, named]);
	expect(mine[0]).toMatchObject({ sizeBytes: expect.any(Number), memory: true });

	await expect(offshoot("snapshot", "delete", named)).rejects.toMatchObject({
		code: 1,
		stderr: expect.stringContaining(`./offshoot snapshot delete ${full}`),
	});
	expect((await offshoot("snapshot", "delete", full)).stdout).toBe(`${full}:v2\n${named}\n`);
	await expect(Sandbox.create(named, sdk())).rejects.toThrow("not found");
	const child = await newSandbox(unnamed);
	await expect(offshoot("snapshot", "delete", unnamed)).rejects.toMatchObject({
		stderr: expect.stringContaining("sandboxes using it"),
	});
	await child.kill();
	expect((await offshoot("snapshot", "delete", unnamed)).stdout).toBe(`${unnamed}\n`);
	await expect(offshoot("snapshot", "delete", unnamed)).rejects.toMatchObject({ stderr: expect.stringContaining("no snapshot") });
});

test("another team's snapshots are that team's", async () => {
	const { slug, apiKey } = await newTeam();
	const options = { ...sdk(), apiKey };
	const source = killAtEnd(await Sandbox.create("base", options));
	const { snapshotId } = await source.createSnapshot();
	await expect(offshoot("snapshot", "delete", snapshotId)).rejects.toMatchObject({ code: 1 });
	const list = async () => JSON.parse((await offshoot("snapshot", "list", "--team", slug, "--json")).stdout);
	expect((await list()).map((each: { snapshotID: string }) => each.snapshotID)).toEqual([snapshotId]);
	await offshoot("snapshot", "delete", snapshotId, "--team", slug);
	expect(await list()).toEqual([]);
});
