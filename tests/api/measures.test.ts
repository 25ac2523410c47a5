import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Sandbox } from "e2b";
import { expect, inject, test } from "vitest";
import { rest } from "../support/rest.ts";
import { newSandbox, sdk, until } from "../support/sandboxes.ts";

test("a sandbox is measured every few seconds, from inside", async () => {
	const before = new Date();
	const sandbox = await newSandbox();
	await sandbox.commands.run("head -c 50000000 /dev/zero > /home/user/disk; head -c 100000000 /dev/zero > /dev/shm/memory");
	await sandbox.commands.run("while :; do :; done", { background: true });
	await until("a measure of a busy sandbox", async () => ((await sandbox.getMetrics()).at(-1)?.cpuUsedPct ?? 0) > 20, 40_000);
	const metrics = await sandbox.getMetrics();
	const last = metrics.at(-1);
	expect(last).toMatchObject({ cpuCount: 2, memTotal: 1024 ** 3 });
	expect(last?.diskUsed).toBeGreaterThan(50_000_000);
	expect((last?.memUsed ?? 0) + (last?.memCache ?? 0)).toBeGreaterThan(100_000_000);
	expect(metrics.map((metric) => metric.timestamp)).toEqual(metrics.map((m) => m.timestamp).toSorted((a, b) => +a - +b));
	expect(await sandbox.getMetrics({ start: new Date(0), end: new Date(before.getTime() - 5_000) })).toEqual([]);
	const many = await rest("GET", `/sandboxes/metrics?sandbox_ids=${sandbox.sandboxId},inone`);
	expect(Object.keys(many.body.sandboxes)).toEqual([sandbox.sandboxId]);
	const [team] = (await rest("GET", "/teams")).body;
	const peak = await rest("GET", `/teams/${team.teamID}/metrics/max?metric=concurrent_sandboxes`);
	expect(peak.body.value).toBeGreaterThan(0);
});

test("logs tell a sandbox's life and what it prints where nobody listens; a 404 says why it ended", async () => {
	const sandbox = await newSandbox();
	const { sandboxId } = sandbox;
	await sandbox.commands.run("echo printed by nobody > /proc/1/fd/2", { user: "root" });
	await sandbox.pause();
	await Sandbox.connect(sandboxId, sdk());
	await sandbox.kill();
	const { body } = await rest("GET", `/sandboxes/${sandboxId}/logs`);
	const messages: string[] = body.logEntries.map((entry: { message: string }) => entry.message);
	// What is printed arrives with a delay.
	expect(messages).toContain("printed by nobody");
	expect(messages.filter((message) => message !== "printed by nobody")).toEqual([
		expect.stringContaining("started"),
		"Sandbox paused",
		"Sandbox resumed",
		"Sandbox ended: killed by request",
	]);
	const found = await rest("GET", `/v2/sandboxes/${sandboxId}/logs?search=printed&direction=forward`);
	expect(found.body.logs).toMatchObject([{ level: "info", message: "printed by nobody", fields: { logger: "sandbox" } }]);
	const gone = await rest("GET", `/sandboxes/${sandboxId}`);
	expect(gone).toMatchObject({
		status: 404,
		body: { code: 404, message: expect.stringMatching(/ended at .*: killed by request$/) },
	});
});

test("what a guest prints in bulk fills nothing on the host", async () => {
	const sandbox = await newSandbox();
	const { dataDir } = inject("server");
	const instance = (await readFile(join(dataDir, "instance"), "utf8")).trim();
	await sandbox.commands.run("yes spam spam spam | head -c 5000000 > /proc/1/fd/2", { user: "root" });
	const root = `/run/offshoot/${instance}/engines`;
	await until("the host's copy of the output is small", async () => (await bytesOfLogs(root)) < 1024 * 1024, 5_000);
	const { body } = await rest("GET", `/sandboxes/${sandbox.sandboxId}/logs`);
	expect(body.logs.length).toBeLessThanOrEqual(1_000);
	expect(body.logEntries[0].message).toContain("started");
});

test("of what a sandbox prints without end the last 2,000 lines are kept, and all of its life", async () => {
	const sandbox = await newSandbox();
	// Slowly enough for the server to have all of it: it takes what was printed once in a second.
	const print = "for at in 0 900 1800; do seq $((at + 1)) $((at + 900)) > /proc/1/fd/2; sleep 1.5; done";
	await sandbox.commands.run(print, { user: "root" });
	const entries = async (direction: string) => {
		const { body } = await rest("GET", `/v2/sandboxes/${sandbox.sandboxId}/logs?limit=1000&direction=${direction}`);
		return body.logs.map(({ message }: { message: string }) => message);
	};
	await until("the last line", async () => (await entries("backward"))[0] === "2700");
	const oldest = await entries("forward");
	expect(oldest.slice(0, 2)).toEqual([expect.stringContaining("started"), "701"]);
});

async function bytesOfLogs(root: string): Promise<number> {
	let bytes = 0;
	for (const name of await readdir(root, { recursive: true })) {
		if (!name.endsWith("/runsc.log")) continue;
		bytes += await stat(join(root, name)).then(
			({ size }) => size,
			() => 0,
		);
	}
	return bytes;
}
