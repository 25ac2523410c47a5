/** Many clients of one sandbox at the same time. */
import { expect, inject, test, vi } from "vitest";
import { agentDescriptors } from "../support/guest-process.ts";
import { descriptorsBesideClients, serverPid } from "../support/process.ts";
import { newSandbox, until } from "../support/sandboxes.ts";

const COMMANDS = 200;
const WATCHERS = 50;

test(`${COMMANDS} commands and ${WATCHERS} watchers in one sandbox each get their own, and leave no descriptor open`, async () => {
	// The SDK opens 200 connections unless told otherwise, and every command and watcher holds one.
	vi.stubEnv("E2B_ENVD_RPC_CONNECTIONS", "1000");
	const sandbox = await newSandbox("base", { timeoutMs: 600_000 });
	const { dataDir, url } = inject("server");
	const pid = await serverPid(dataDir);
	const ofServer = () => descriptorsBesideClients(pid, Number(new URL(url).port));
	const directory = (index: number) => `/home/user/watched/${index % WATCHERS}`;
	await sandbox.commands.run(`mkdir -p ${Array.from({ length: WATCHERS }, (_, index) => directory(index)).join(" ")}`);
	const before = { agent: await agentDescriptors(sandbox), server: await ofServer() };

	const created = Array.from({ length: WATCHERS }, () => [] as string[]);
	const watches = await Promise.all(
		created.map((names, index) =>
			sandbox.files.watchDir(directory(index), ({ type, name }) => {
				if (type === "create") names.push(name);
			}),
		),
	);
	const command = async (index: number) => {
		const run = `echo out-${index}; echo err-${index} >&2; echo > ${directory(index)}/file-${index}; read -r line; echo $line`;
		const handle = await sandbox.commands.run(run, { background: true, stdin: true, timeoutMs: 0 });
		return { index, handle };
	};
	// None ends before the last has begun, since all of them wait for their input.
	const running = await Promise.all(Array.from({ length: COMMANDS }, (_, index) => command(index)));
	expect((await sandbox.commands.list()).length).toBe(COMMANDS);
	const results = await Promise.all(
		running.map(async ({ index, handle }) => {
			await sandbox.commands.sendStdin(handle.pid, `in-${index}\n`);
			const { stdout, stderr, exitCode } = await handle.wait();
			return { stdout, stderr, exitCode };
		}),
	);
	expect(results).toEqual(
		results.map((_, index) => ({ stdout: `out-${index}\nin-${index}\n`, stderr: `err-${index}\n`, exitCode: 0 })),
	);

	const expected = created.map((_, at) =>
		Array.from({ length: COMMANDS / WATCHERS }, (_unused, round) => `file-${at + round * WATCHERS}`).sort(),
	);
	await until("all events to arrive", async () => created.flat().length >= COMMANDS);
	expect(created.map((names) => names.sort())).toEqual(expected);

	await Promise.all(watches.map((watch) => watch.stop()));
	await until("the agent to close what it opened", async () => (await agentDescriptors(sandbox)) <= before.agent);
	await until("the server to close what it opened", async () => (await ofServer()) <= before.server);
}, 300_000);
