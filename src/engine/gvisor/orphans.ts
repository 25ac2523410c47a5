import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Commands and sandboxes that a killed server left in the middle of something. A command goes on by itself and may
 * still make a container, so it is waited for; a sandbox process that runsc knows nothing about is ended.
 */
interface RunscProcess {
	readonly pid: number;
	/** A command ends by itself; the others live as long as their container. */
	readonly command: boolean;
	readonly args: readonly string[];
}

const LONG_LIVED = ["runsc-sandbox", "runsc-gofer"];
const POLL_MS = 20;

/** Resolves when no command of an earlier process works on this state directory any more. */
export async function awaitCommands(stateDir: string, signal: AbortSignal): Promise<void> {
	while ((await runscProcesses(stateDir)).some((process) => process.command)) {
		await sleep(POLL_MS, undefined, { signal });
	}
}

/** Ends sandbox processes of this state directory whose container is none of `known`. */
export async function killUnknown(stateDir: string, known: readonly string[]): Promise<void> {
	for (const { pid, command, args } of await runscProcesses(stateDir)) {
		if (command || known.some((id) => args.includes(id) || args.some((arg) => arg.endsWith(`/${id}`)))) continue;
		try {
			process.kill(pid, "SIGKILL");
		} catch {
			// It ended by itself meanwhile.
		}
	}
}

async function runscProcesses(stateDir: string): Promise<RunscProcess[]> {
	const found: RunscProcess[] = [];
	for (const name of await readdir("/proc")) {
		if (!/^\d+$/.test(name)) continue;
		const line = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
		if (!line.includes(`--root=${stateDir}\0`)) continue;
		const args = line.split("\0");
		found.push({ pid: Number(name), command: !LONG_LIVED.includes(args[0] ?? ""), args });
	}
	return found;
}
