/** Programs of the template's author that give a clone's software an identity of its own. */
import { constants } from "node:fs";
import { access, readdir } from "node:fs/promises";
import { posix } from "node:path";
import type { AgentInit } from "../../../../src/protocol/index.ts";
import { log } from "../log.ts";
import { describeEnd } from "../process/ending.ts";
import type { Sysd } from "../sysd/sysd.ts";
import type { GuestFiles } from "./identity.ts";

const DIRECTORY = "/etc/offshoot/on-restore.d";
const LIMIT_MS = 10_000;
const SIGKILL = 9;

/** Runs the executable files in the order of their names, as root. What fails is logged and does not stop the others. */
export async function runHooks(files: GuestFiles, init: AgentInit, sysd: Sysd): Promise<void> {
	const directory = posix.join(files.root, DIRECTORY);
	const names = await readdir(directory).catch(() => []);
	for (const name of names.sort()) {
		const path = posix.join(directory, name);
		const executable = await access(path, constants.X_OK).then(
			() => true,
			() => false,
		);
		if (executable) await runHook(path, init, sysd).catch((error: unknown) => log(`hook ${path} failed`, error));
	}
}

async function runHook(path: string, init: AgentInit, sysd: Sysd): Promise<void> {
	const environment = {
		PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		HOME: "/root",
		OFFSHOOT_GENERATION: String(init.generation),
		OFFSHOOT_SANDBOX_ID: init.sandboxId,
	};
	const root = { uid: 0, gid: 0, groups: [0], cwd: "/" };
	const program = await sysd.spawn({ program: path, args: [], environment, ...root, input: "null", description: "" });
	const timer = setTimeout(() => void sysd.signal(program.pid, SIGKILL).catch(() => undefined), LIMIT_MS);
	const ending = await new Promise<ReturnType<typeof describeEnd>>((resolve) => {
		program.listen({
			output: (_kind, data) => log(`hook ${path}: ${data.toString().trimEnd()}`),
			end: (end) => resolve(describeEnd(end)),
		});
	});
	clearTimeout(timer);
	if (ending.error !== undefined) log(`hook ${path}: ${ending.error}`);
}
