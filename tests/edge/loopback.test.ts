/** Servers in the guest that listen on its loopback interface only, reached from outside through the edge. */
import type { Sandbox } from "e2b";
import { expect, test } from "vitest";
import { deleteAtEnd, newCodeSandbox, newSandbox, sdk } from "../support/sandboxes.ts";

const PORT = 3000;

const get = (sandbox: { sandboxId: string }, port: number, path = "/") =>
	fetch(`${sdk().sandboxUrl}${path}`, {
		headers: { "E2b-Sandbox-Id": sandbox.sandboxId, "E2b-Sandbox-Port": String(port) },
	});

async function serve(sandbox: Sandbox, address: string): Promise<void> {
	await sandbox.files.write("/srv/www/name", address);
	await sandbox.commands.run(`python3 -m http.server --bind ${address} ${PORT}`, {
		background: true,
		cwd: "/srv/www",
		timeoutMs: 0,
		user: "root",
	});
}

test.each(["127.0.0.1", "::1"])("a server bound to %s answers, also in a clone", async (address) => {
	const source = await newSandbox();
	await serve(source, address);
	const first = await get(source, PORT, "/name");
	expect([first.status, await first.text()]).toEqual([200, address]);

	const { snapshotId } = await source.createSnapshot();
	deleteAtEnd(snapshotId);
	const clone = await newSandbox(snapshotId);
	for (const sandbox of [source, clone]) expect(await (await get(sandbox, PORT, "/name")).text()).toBe(address);
});

test("it answers again after a pause", async () => {
	const sandbox = await newSandbox();
	await serve(sandbox, "127.0.0.1");
	expect((await get(sandbox, PORT, "/name")).status).toBe(200);
	await sandbox.pause();
	await sandbox.connect();
	expect((await get(sandbox, PORT, "/name")).status).toBe(200);
});

test("what Offshoot itself keeps on loopback stays closed", async () => {
	const sandbox = await newCodeSandbox();
	await sandbox.runCode("1");
	// Interrupting it opens a debugging port.
	await expect(sandbox.runCode("while (true) {}", { language: "js", timeoutMs: 1_000 })).rejects.toThrow(/timed out/);
	const { stdout } = await sandbox.commands.run("cat /proc/net/tcp", { user: "root" });
	const reachable = [...stdout.matchAll(/ 0100007F:([0-9A-F]{4}) 00000000:0000 0A /g)];
	expect(reachable.map(([, port]) => Number.parseInt(port ?? "", 16))).toEqual([49998]);

	const refused = await get(sandbox, 49998, "/reseed");
	expect([refused.status, await refused.json()]).toMatchObject([502, { port: 49998 }]);
	expect((await get(sandbox, 49982, "/health")).status).toBe(403);
});
