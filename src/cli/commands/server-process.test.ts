import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Config, readConfig } from "../config.ts";
import { instanceOwner } from "../instance/instance-lock.ts";
import { readApiKey } from "../instance/secrets.ts";
import { runningServer, type ServerFile } from "../instance/server-file.ts";
import type { SandboxFate, ServerOptions, StartServer } from "../server-contract.ts";
import { Progress } from "../terminal/progress.ts";
import { runServerProcess } from "./server-process.ts";

// Packages and runsc are the machine's: here they are taken as ready.
vi.mock("../prepare/index.ts", () => ({
	preparePackages: async () => {},
	prepareRunsc: async () => ({ path: "/x/runsc", version: "release-20260907.0", sha256: "00", extraFlags: [] }),
}));

let dataDir: string;
let config: Config;

beforeEach(async () => {
	dataDir = await mkdtemp(join(tmpdir(), "offshoot-server-"));
	config = { ...readConfig({}), dataDir, port: await freePort() };
});

afterEach(async () => {
	await rm(dataDir, { recursive: true, force: true });
});

/** A server that records what is asked of it, run until `stop`. */
function launch(more: { startServer?: StartServer } = {}, signal = AbortSignal.timeout(10_000)) {
	const calls: string[] = [];
	const started: ServerOptions[] = [];
	const ready = Promise.withResolvers<ServerFile>();
	const stopped = Promise.withResolvers<SandboxFate>();
	const ended = runServerProcess(
		{
			config,
			progress: new Progress(() => {}),
			startServer: async (options) => {
				started.push(options);
				return { stop: async (fate) => void calls.push(`stop ${fate}`) };
			},
			cleanHost: async ({ instanceId }) => void calls.push(`clean ${instanceId}`),
			onReady: async (server) => ready.resolve(server),
			untilStopped: stopped.promise,
			...more,
		},
		signal,
	);
	ended.catch(ready.reject);
	// Not every test waits for it.
	ready.promise.catch(() => {});
	return { calls, started, ready: ready.promise, stop: stopped.resolve, ended };
}

describe("a server process", () => {
	test("is found by other commands exactly while it can be used", async () => {
		const server = launch();
		const file = await server.ready;
		expect(file).toMatchObject({ url: `http://127.0.0.1:${config.port}`, process: { pid: process.pid } });
		expect(await runningServer(dataDir)).toEqual(file);
		expect(server.started[0]).toMatchObject({ instanceId: file.instanceId, apiKey: await readApiKey(dataDir) });

		server.stop("keep");
		await server.ended;
		expect(await runningServer(dataDir)).toBeUndefined();
		expect(await instanceOwner(dataDir)).toBeUndefined();
	});

	test("that starts says so, with its step, until it can be used", async () => {
		const begun = Promise.withResolvers<void>();
		const go = Promise.withResolvers<void>();
		const server = launch({
			startServer: async ({ progress }) => {
				await progress.step("Template base", () => {
					begun.resolve();
					return go.promise;
				});
				return { stop: async () => {} };
			},
		});
		await begun.promise;
		expect((await instanceOwner(dataDir))?.activity).toEqual({ state: "starting", step: "Template base" });
		go.resolve();
		await server.ready;
		expect(await instanceOwner(dataDir)).toMatchObject({ pid: process.pid });
		expect((await instanceOwner(dataDir))?.activity).toBeUndefined();
		server.stop("keep");
		await server.ended;
	});

	test("that keeps its sandboxes leaves the host alone; one that ends them cleans it, last", async () => {
		const keeping = launch();
		const { instanceId } = await keeping.ready;
		keeping.stop("keep");
		await keeping.ended;
		expect(keeping.calls).toEqual(["stop keep"]);

		const ending = launch();
		await ending.ready;
		ending.stop("end");
		await ending.ended;
		expect(ending.calls).toEqual(["stop end", `clean ${instanceId}`]);
	});

	test("refuses a data directory that has one, naming its pid, and does not disturb it", async () => {
		const first = launch();
		const file = await first.ready;
		config = { ...config, port: await freePort() };
		await expect(launch().ended).rejects.toThrow(`in use by process ${process.pid}`);
		expect(await runningServer(dataDir)).toEqual(file);
		first.stop("keep");
		await first.ended;
	});

	test("refuses a port in use before anything long begins", async () => {
		const other = createServer();
		await new Promise<void>((resolve) => other.listen(config.port, "127.0.0.1", resolve));
		const server = launch();
		await expect(server.ended).rejects.toThrow(/in use by another program.*FIX:/);
		expect(server.started).toEqual([]);
		await new Promise((resolve) => other.close(resolve));
	});

	test.each([
		["ends", "end", 1],
		["keeps", "keep", 0],
	] as const)(
		"interrupted while it starts by a signal that %s sandboxes cleans the host accordingly",
		async (_what, fate, cleaned) => {
			const controller = new AbortController();
			const starting = Promise.withResolvers<never>();
			starting.promise.catch(() => {});
			const server = launch({ startServer: () => starting.promise }, controller.signal);
			controller.abort();
			server.stop(fate);
			starting.reject(new Error("interrupted"));
			await expect(server.ended).rejects.toThrow("interrupted");
			expect(server.calls.filter((call) => call.startsWith("clean"))).toHaveLength(cleaned);
		},
	);

	test("that cannot start frees the data directory", async () => {
		await expect(launch({ startServer: () => Promise.reject(new Error("no database")) }).ended).rejects.toThrow("no database");
		expect(await runningServer(dataDir)).toBeUndefined();
		const next = launch();
		await next.ready;
		next.stop("keep");
		await next.ended;
	});
});

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	await new Promise((resolve) => server.close(resolve));
	if (address === null || typeof address === "string") throw new Error("no port");
	return address.port;
}
