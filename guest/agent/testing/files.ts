/** For tests of files: an agent of their own, the SDK connected to it, and a directory for each test. */
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Sandbox } from "e2b";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { TestAgent } from "./agent.ts";
import { connectSdk } from "./sdk.ts";

export interface FileTests {
	agent: TestAgent;
	sandbox: Sandbox;
	/** A directory for one test, open to every user. */
	at: string;
}

/** Called once per test file, which reads what it gives inside of tests only. */
export function fileTests(): FileTests {
	const tests: Partial<FileTests> = {};
	let directory: string;
	beforeAll(async () => {
		const agent = await TestAgent.start();
		tests.agent = agent;
		await agent.initialise();
		tests.sandbox = await connectSdk(agent);
		directory = await mkdtemp(join(tmpdir(), "offshoot-files-"));
		await chmod(directory, 0o755);
	}, 60_000);
	afterAll(async () => {
		await tests.agent?.[Symbol.asyncDispose]();
		await rm(directory, { recursive: true });
	});
	beforeEach(async ({ task }) => {
		tests.at = join(directory, task.id);
		await mkdir(tests.at, { mode: 0o755 });
	});
	return {
		get agent() {
			return ready(tests.agent);
		},
		get sandbox() {
			return ready(tests.sandbox);
		},
		get at() {
			return ready(tests.at);
		},
	};
}

function ready<T>(value: T | undefined): T {
	if (value === undefined) throw new Error("the agent of the tests has not been started");
	return value;
}
