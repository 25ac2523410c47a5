/** What forks without end is ended; the sandbox, what else runs in it and its snapshots are none the worse. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Sandbox } from "e2b";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { campaignLength } from "../support/random.ts";
import { rest } from "../support/rest.ts";
import { deleteAtEnd, killAtEnd, newCodeSandbox, newSandbox, until } from "../support/sandboxes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { FORK_BOMB, PYTHON_FORK_BOMB, SCATTERED_FORK_BOMB, THREAD_BOMB } from "./hogs.ts";

const LONG = campaignLength(0, 1) === 1;
const TIMEOUT_MS = 120_000;
const ENDED = /^(Too many processes|Out of memory): killed (the process group \d+ with its \d+ processes|all programs)/;

/** Starts a bomb, which ends in its own time. */
function bomb(sandbox: Sandbox, command: string, user?: string): Promise<string> {
	return sandbox.commands.run(command, { timeoutMs: TIMEOUT_MS, ...(user && { user }) }).then(
		() => "it succeeded",
		(error: unknown) => String(error),
	);
}

async function warnings({ sandboxId }: Sandbox): Promise<string[]> {
	const { body } = await rest("GET", `/v2/sandboxes/${sandboxId}/logs?level=warn`);
	return body.logs.map(({ message }: { readonly message: string }) => message);
}

async function answers(sandbox: Sandbox): Promise<boolean> {
	const { stdout } = await sandbox.commands.run("echo alive", { timeoutMs: TIMEOUT_MS, requestTimeoutMs: TIMEOUT_MS });
	return stdout === "alive\n";
}

test("a thread too many is refused to user and root like on Linux, and what heeds that lives on", async () => {
	const sandbox = await newSandbox();
	const threads = `python3 -c "
import threading
held = threading.Event()
count = 0
try:
  while count < 5000:
    threading.Thread(target=held.wait, daemon=True).start()
    count += 1
except RuntimeError as error: print(count > 900, error)
held.set()"`;
	for (const user of ["user", "root"]) {
		const { stdout } = await sandbox.commands.run(threads, { user, timeoutMs: TIMEOUT_MS });
		expect(stdout).toBe("True can't start new thread\n");
	}
	expect(await warnings(sandbox)).toEqual([]);
}, 180_000);

/** @returns whether the sandbox lived on, and everything in it that has nothing to do with the bomb */
async function survives(command: string, user: string): Promise<boolean> {
	const sandbox = await newSandbox();
	const keeper = await sandbox.commands.run("sleep 1000", { background: true, timeoutMs: 0 });
	const end = await bomb(sandbox, command, user);
	const lives = end.includes("signal: killed") && (await answers(sandbox).catch(() => false));
	if (!lives) {
		const found = await rest("GET", `/v2/sandboxes/${sandbox.sandboxId}/logs?level=warn`);
		console.log(`this sandbox did not live on; its bomb: ${end}; its log: ${JSON.stringify(found.body)}`);
		return false;
	}
	expect(await warnings(sandbox)).toContainEqual(expect.stringMatching(ENDED));
	if (command !== SCATTERED_FORK_BOMB) expect((await sandbox.commands.list()).map(({ pid }) => pid)).toContain(keeper.pid);
	await sandbox.kill();
	return true;
}

const BOMBS: readonly (readonly [what: string, command: string, times: number])[] = [
	["of a shell", FORK_BOMB, campaignLength(0, 20)],
	["in Python", PYTHON_FORK_BOMB, campaignLength(2, 20)],
	["that scatters its processes", SCATTERED_FORK_BOMB, campaignLength(0, 20)],
];

test.each(BOMBS.filter(([, , times]) => times > 0))(
	"a fork bomb %s is ended, and its sandbox lives on",
	async (what, command, times) => {
		let survived = 0;
		for (let turn = 0; turn < times; turn++) if (await survives(command, turn % 2 === 0 ? "user" : "root")) survived += 1;
		console.log(`${survived} of ${times} sandboxes survived a fork bomb ${what}`);
		expect(survived).toBeGreaterThanOrEqual(Math.floor(times * 0.95));
	},
	3_600_000,
);

test("a process that starts threads without end is ended, and what has more processes beside it lives on", async () => {
	const sandbox = await newSandbox();
	const build = await sandbox.commands.run("for n in $(seq 150); do sleep 1000 & done; wait", { background: true, timeoutMs: 0 });
	expect(await bomb(sandbox, THREAD_BOMB)).toContain("signal: killed");
	expect(await warnings(sandbox)).toEqual([
		expect.stringMatching(/^Too many processes: .* with its 1 process \(\d{3,} threads\)/),
	]);
	expect((await sandbox.commands.list()).map(({ pid }) => pid)).toContain(build.pid);
	await sandbox.kill();
}, 180_000);

test.runIf(LONG)(
	"snapshots and a pause while a bomb is ended neither fail nor leave anything frozen",
	async () => {
		const sandbox = await newSandbox();
		const over = bomb(sandbox, PYTHON_FORK_BOMB);
		const snapshots: string[] = [];
		let ended = false;
		void over.then(() => {
			ended = true;
		});
		while (!ended) snapshots.push(deleteAtEnd((await sandbox.createSnapshot()).snapshotId));
		expect(await over).toMatch(/signal: killed/);
		const again = bomb(sandbox, PYTHON_FORK_BOMB);
		await new Promise((resolve) => setTimeout(resolve, 3_000));
		await sandbox.pause();
		const resumed = await sandbox.connect({ timeoutMs: 600_000 });
		await again;
		await until("the end of the bomb that was paused", () => answers(resumed).catch(() => false), TIMEOUT_MS);
		console.log(`${snapshots.length} snapshots were taken while a bomb was ended`);
	},
	1_200_000,
);

test.runIf(LONG)(
	"a fork bomb in a cell ends with its kernel, and the next cell has a new one",
	async () => {
		const sandbox = await newCodeSandbox();
		const cell = sandbox.runCode("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", { timeoutMs: TIMEOUT_MS });
		console.log("the cell ended:", await cell.then(({ error }) => error, String));
		expect(await warnings(sandbox)).toContainEqual(expect.stringMatching(ENDED));
		const next = async () => (await sandbox.runCode("6 * 7", { timeoutMs: TIMEOUT_MS })).text;
		await until("an answer of the next cell", async () => (await next().catch(String)) === "42", TIMEOUT_MS);
	},
	300_000,
);

describe.runIf(LONG)("when the server is killed while a sandbox stands still for its bomb", () => {
	let server: TestServer;
	beforeAll(async () => {
		server = await startTestServer();
	}, 300_000);
	afterAll(() => server.destroy());

	/** Whether a container of this server stands still now, as the engine has written it down. */
	function standsStill(instance: string): boolean {
		const engines = `/run/offshoot/${instance}/engines`;
		return readdirSync(engines).some((engine) => {
			const states = join(engines, engine, "runsc");
			return readdirSync(states)
				.filter((name) => name.endsWith(".state"))
				.some((name) => isPaused(join(states, name)));
		});
	}

	test("the next one lets it run", { timeout: 600_000, repeats: 2 }, async () => {
		const { instance, pid } = await server.status();
		const sandbox = killAtEnd(await Sandbox.create("base", { ...server.sdk, timeoutMs: 600_000 }));
		const over = bomb(sandbox, PYTHON_FORK_BOMB);
		await until("a sandbox that stands still", async () => standsStill(instance), TIMEOUT_MS);
		process.kill(pid, "SIGKILL");
		await until("the server's end", async () => !existsSync(`/proc/${pid}`));
		await server.start();
		await over;
		await until("an answer", () => answers(sandbox).catch(() => false), TIMEOUT_MS);
		expect(standsStill(instance)).toBe(false);
		await sandbox.kill();
	});
});

function isPaused(path: string): boolean {
	try {
		return JSON.parse(readFileSync(path, "utf8")).status === "paused";
	} catch {
		// It is being written, or its container has just gone.
		return false;
	}
}
