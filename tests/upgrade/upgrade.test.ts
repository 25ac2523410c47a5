import { chmod, cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Sandbox } from "@e2b/code-interpreter";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestServer, type TestServer } from "../support/server.ts";

/**
 * An upgrade brings another runsc and another guest agent at once. What was captured before must be restored by the
 * engine, the spec and the agent that it was captured with.
 */
const REPOSITORY = join(import.meta.dirname, "../..");

let server: TestServer;
let dir: string;
beforeAll(async () => {
	[server, dir] = [await startTestServer(), await mkdtemp(join(tmpdir(), "offshoot-upgrade-"))];
});
afterAll(async () => {
	await server.destroy();
	await rm(dir, { recursive: true, force: true });
});

interface Manifest {
	readonly id: string;
	readonly kind: string;
	readonly createdAt: string;
	readonly engine: { readonly version: string; readonly sha256: string };
	readonly agent: { readonly version: string };
}

async function manifests(): Promise<Manifest[]> {
	const artifacts = join(server.dataDir, "artifacts");
	const names = (await readdir(artifacts)).filter((name) => !name.startsWith("."));
	const texts = await Promise.all(names.map((name) => readFile(join(artifacts, name, "manifest.json"), "utf8")));
	return texts.map((text) => JSON.parse(text) as Manifest).sort((a, b) => a.createdAt.localeCompare(b.createdAt));
}

/** The engine with another version string of the same length: a build of its own, which refuses the first one's images. */
async function anotherEngine(): Promise<{ path: string; version: string }> {
	const [name = ""] = await readdir(join(server.dataDir, "engines"));
	const engine = JSON.parse(await readFile(join(server.dataDir, "engines", name, "engine.json"), "utf8"));
	const binary = await readFile(join(server.dataDir, "engines", name, "runsc"), "latin1");
	const version = engine.version.replace(/.$/, (digit: string) => String((Number(digit) + 1) % 10));
	const path = join(dir, "runsc");
	await writeFile(path, Buffer.from(binary.replaceAll(engine.version, version), "latin1"));
	await chmod(path, 0o755);
	return { path, version };
}

/** A checkout with a newer agent. */
async function newerCheckout(): Promise<string> {
	const copy = join(dir, "checkout");
	for (const part of ["src", "guest", "package.json", "package-lock.json", "tsconfig.json"]) {
		await cp(join(REPOSITORY, part), join(copy, part), { recursive: true });
	}
	await symlink(join(REPOSITORY, "node_modules"), join(copy, "node_modules"));
	const path = join(copy, "guest/agent/package.json");
	await writeFile(path, (await readFile(path, "utf8")).replace(/"version": "[^"]*"/, '"version": "99.0.0"'));
	return join(copy, "src/cli/main.ts");
}

test("after an upgrade of engine and agent, old snapshots and paused sandboxes still restore", async () => {
	const source = await Sandbox.create({ ...server.sdk, timeoutMs: 3_600_000 });
	await source.runCode("x = 41");
	const { snapshotId } = await source.createSnapshot();
	const before = (await manifests()).at(-1);
	const paused = await Sandbox.create({ ...server.sdk, timeoutMs: 3_600_000 });
	await paused.runCode("y = 7");
	await paused.pause();
	const running = (await source.commands.run("sleep 100000", { background: true })).pid;

	// The server is replaced under its sandboxes, as a service manager would.
	const engine = await anotherEngine();
	await server.killHard();
	await server.start({ main: await newerCheckout(), env: { OFFSHOOT_RUNSC: engine.path } });

	expect((await source.commands.list()).map((process) => process.pid)).toContain(running);
	const child = await Sandbox.create(snapshotId, server.sdk);
	expect((await child.runCode("x + 1")).text).toBe("42");
	await paused.connect();
	expect((await paused.runCode("y")).text).toBe("7");

	const fresh = await Sandbox.create(server.sdk);
	expect((await fresh.runCode("1 + 1")).text).toBe("2");
	await fresh.createSnapshot();
	const after = (await manifests()).at(-1);
	expect(after?.engine.version).toBe(engine.version);
	expect(after?.engine.version).not.toBe(before?.engine.version);
	expect(after?.agent.version).toMatch(/^99\./);
	expect(before?.agent.version).not.toMatch(/^99\./);

	// What is made from an old snapshot belongs to the old engine, and so does its own snapshot.
	const grandchild = await Sandbox.create((await child.createSnapshot()).snapshotId, server.sdk);
	expect((await grandchild.runCode("x")).text).toBe("41");
	expect((await manifests()).at(-1)?.engine).toEqual(before?.engine);
}, 600_000);
