/**
 * Malformed requests must not end the interpreter or its kernels, are answered with 4xx, a documented error or a closed
 * connection, and leave neither memory nor descriptors behind.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SMALL_HEAP } from "../../../tests/support/heap.ts";
import { type Attempt, type Outcome, send, show, Tally } from "../../../tests/support/malformed.ts";
import { descriptors, mib, residentBytes } from "../../../tests/support/process.ts";
import { campaignLength, campaignSeed, seededRandom } from "../../../tests/support/random.ts";
import { until } from "../../../tests/support/sandboxes.ts";
import { freePort } from "../../../tests/support/server.ts";
import { malformedRequest } from "./testing/malformed.ts";
import { testPython } from "./testing/python.ts";
import { startAgent } from "./testing/sandbox.ts";

const REQUESTS = campaignLength(1_000, 20_000);
/** Until then the interpreter's heap grows to what it needs. */
const WARM_UP = REQUESTS / 4;
const AT_ONCE = 20;
const TOKEN = "token-of-the-campaign";

let root: string;
let home: string;
let port: number;
let agent: Awaited<ReturnType<typeof startAgent>>;
let interpreter: ChildProcess;

beforeAll(async () => {
	root = await realpath(await mkdtemp(join(tmpdir(), "offshoot-fuzz-")));
	home = join(root, "home");
	await mkdir(home);
	await writeFile(join(home, "canary"), "alive");
	port = await freePort();
	agent = await startAgent({ accessToken: TOKEN, environment: {} });
	const main = [...SMALL_HEAP, join(import.meta.dirname, "main.ts")];
	interpreter = spawn("setpriv", ["--pdeathsig", "KILL", process.execPath, ...main], {
		env: {
			PATH: process.env.PATH,
			HOME: home,
			OFFSHOOT_PYTHON: await testPython(),
			OFFSHOOT_INTERPRETER_HOST: "127.0.0.1",
			OFFSHOOT_INTERPRETER_PORT: String(port),
			OFFSHOOT_INTERPRETER_INTERNAL_PORT: "0",
			OFFSHOOT_INTERPRETER_CWD: home,
			OFFSHOOT_INTERPRETER_RUN: join(root, "run"),
			OFFSHOOT_AGENT_PORT: String(agent.port),
		},
		stdio: ["ignore", "inherit", "inherit"],
	});
	await until("the interpreter to be healthy", async () => {
		const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
		return answer?.status === 200;
	});
}, 300_000);

afterAll(async () => {
	const ended = once(interpreter, "exit");
	interpreter.kill();
	await ended;
	await agent.close();
	await rm(root, { recursive: true, force: true });
}, 30_000);

/** All that running this printed. */
async function run(language: string, code: string): Promise<string> {
	const response = await fetch(`http://127.0.0.1:${port}/execute`, {
		method: "POST",
		headers: { "x-access-token": TOKEN },
		body: JSON.stringify({ code, language }),
	});
	const lines = (await response.text()).trimEnd().split("\n");
	return lines
		.map((line): { type: string; text?: string } => JSON.parse(line))
		.map(({ type, text }) => (type === "stdout" ? text : ""))
		.join("");
}

/** Documented: the kernel that was asked for cannot be had. */
const NO_KERNEL = /\r\n\r\nlanguage ".*" is not supported; use /s;

test("malformed requests do no harm", { timeout: 900_000 }, async () => {
	const seed = campaignSeed();
	const random = seededRandom(seed);
	const pid = interpreter.pid ?? 0;
	const tally = new Tally();
	const wrong: string[] = [];
	const one = async (request: Attempt) => {
		const outcome: Outcome = await send(request, port);
		tally.add(outcome);
		if ((outcome.status ?? 0) >= 500 && !NO_KERNEL.test(outcome.text)) wrong.push(show(request, outcome));
	};
	const many = async (count: number) => {
		for (let sent = 0; sent < count; sent += AT_ONCE) {
			await Promise.all(Array.from({ length: AT_ONCE }, () => malformedRequest(random, TOKEN)).map(one));
		}
	};
	await run("python", "kept = 'of python'");
	await run("javascript", "globalThis.kept = 'of javascript'");
	await run("typescript", "globalThis.kept = 'of typescript'");

	await many(WARM_UP);
	const [before, descriptorsBefore] = [await residentBytes(pid), await descriptors(pid)];
	await many(REQUESTS - WARM_UP);
	process.stdout.write(`interpreter: ${REQUESTS} malformed requests, OFFSHOOT_TEST_SEED=${seed}: ${tally}\n`);

	expect(wrong).toEqual([]);
	expect(interpreter.exitCode).toBeNull();
	expect(await run("python", "print(kept)")).toBe("of python\n");
	expect(await run("javascript", "console.log(kept)")).toBe("of javascript\n");
	expect(await run("typescript", "console.log(kept)")).toBe("of typescript\n");
	expect(await readFile(join(home, "canary"), "utf8")).toBe("alive");
	expect((await readdir(home)).filter((name) => !name.startsWith("."))).toEqual(["canary"]);
	expect(await readdir(root)).toEqual(["home", "run"]);
	await until("descriptors to be closed", async () => (await descriptors(pid)) <= descriptorsBefore + 2);
	await until("memory to be given back", async () => (await residentBytes(pid)) < before * 1.3 + 32 * 1024 * 1024, 60_000);
	process.stdout.write(`interpreter: resident ${mib(before)} before, ${mib(await residentBytes(pid))} after\n`);
});
